// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/export_details_card.h"

#include "widgets/controls/option_form.h"
#include "widgets/controls/state_chip.h"
#include "widgets/text/format_text.h"

#include <QHBoxLayout>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

namespace {

StateLook lookOfPart(bool isThere, const QString& there, const QString& missing)
{
    return isThere ? StateLook{there, Icon::Check, ColorRole::Good}
                   : StateLook{missing, Icon::Warning, ColorRole::Caution};
}

} // namespace

ExportDetailsCard::ExportDetailsCard(QWidget* parent)
    : Card(tr("Files and model card"), parent)
    , m_tokenizer(new StateChip)
    , m_chatTemplate(new StateChip)
    , m_form(new OptionForm(u"export_"_s, describeFields(ExportDetails())))
{
    m_tokenizer->setObjectName(u"exportTokenizerChip"_s);
    m_chatTemplate->setObjectName(u"exportTemplateChip"_s);
    for (StateChip* chip : {m_tokenizer, m_chatTemplate}) {
        chip->hide(); // nothing is known yet
        header()->addWidget(chip);
    }
    body()->addWidget(m_form);
    connect(m_form, &OptionForm::valueEdited, this,
        [this](const std::string& key, const FieldValue& value) {
            writeField(m_details, key, value);
            showDetails();
        });
    showDetails();
}

void ExportDetailsCard::setFacts(const ExportFacts& facts)
{
    m_known = facts.details;
    m_details = facts.details;
    m_tokenizer->setLook(lookOfPart(!facts.tokenizer.empty(),
        tr("Tokenizer: %1").arg(toQString(facts.tokenizer)), tr("No tokenizer")));
    m_chatTemplate->setLook(
        lookOfPart(facts.has_chat_template, tr("Chat template"), tr("No chat template")));
    m_tokenizer->show();
    m_chatTemplate->show();
    showDetails();
}

void ExportDetailsCard::showDetails()
{
    m_form->setValues(readFields(m_details), readFields(m_known));
}

} // namespace bitsmith::ui
