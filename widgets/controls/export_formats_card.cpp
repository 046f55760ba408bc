// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/export_formats_card.h"

#include "widgets/controls/export_offer_table.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

ExportFormatsCard::ExportFormatsCard(QWidget* parent)
    : Card(tr("Formats"), parent)
    , m_runtime(new QComboBox)
    , m_message(mutedLabel(tr("Reading the run…")))
    , m_table(new ExportOfferTable)
{
    auto* question = new QLabel(tr("What will run the model?"));
    question->setBuddy(m_runtime);
    m_runtime->setObjectName(u"exportRuntimeCombo"_s);
    m_runtime->setAccessibleName(question->text());
    m_runtime->setSizeAdjustPolicy(QComboBox::AdjustToContents);
    m_runtime->addItem(tr("Any program"), QString());
    connect(m_runtime, &QComboBox::currentIndexChanged, m_table,
        [this] { m_table->setRuntime(m_runtime->currentData().toString()); });
    m_message->setObjectName(u"exportOffersMessage"_s);
    m_message->setTextFormat(Qt::PlainText);
    header()->insertWidget(0, question);
    header()->insertWidget(1, m_runtime);
    titleLabel()->hide();
    body()->addWidget(m_message);
    body()->addWidget(m_table);
    setFocusProxy(m_runtime);
}

void ExportFormatsCard::setOffers(const std::vector<ExportOffer>& offers)
{
    m_message->hide();
    m_table->setOffers(offers);
    while (m_runtime->count() > 1) {
        m_runtime->removeItem(1);
    }
    for (const QString& runtime : m_table->runtimes()) {
        m_runtime->addItem(runtime, runtime);
    }
}

void ExportFormatsCard::showError(const QString& message)
{
    m_message->setText(tr("This run cannot be exported. %1").arg(message));
}

} // namespace bitsmith::ui
