// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/export_offer_table.h"

#include "widgets/controls/card.h"
#include "widgets/text/format_text.h"

#include <QCheckBox>
#include <QGridLayout>
#include <QLabel>
#include <QPushButton>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

namespace {

enum Column
{
    Format,
    Bits,
    Size,
    RunsIn,
    ColumnCount,
    Action = ColumnCount ///< without a title
};

Qt::Alignment alignmentOf(int column)
{
    return Qt::AlignVCenter | (column == Bits || column == Size ? Qt::AlignRight : Qt::AlignLeft);
}

QStringList runtimesOf(const ExportOffer& offer)
{
    QStringList names;
    for (const std::string& name : offer.runtimes) {
        names << toQString(name);
    }
    return names;
}

/// The runtimes behind the name have a column of their own.
QString nameOf(const ExportOffer& offer)
{
    return toQString(offer.name).section(u" ("_s, 0, 0);
}

} // namespace

ExportOfferTable::ExportOfferTable(QWidget* parent)
    : QWidget(parent)
{
    setObjectName(u"exportOfferTable"_s);
}

void ExportOfferTable::setOffers(const std::vector<ExportOffer>& offers)
{
    m_rows.clear();
    qDeleteAll(findChildren<QWidget*>(Qt::FindDirectChildrenOnly));
    delete layout();
    auto* grid = new QGridLayout(this);
    grid->setContentsMargins(0, 0, 0, 0);
    grid->setHorizontalSpacing(20);
    grid->setVerticalSpacing(4);
    grid->setColumnStretch(RunsIn, 1);
    addHead(grid);
    for (const ExportOffer& offer : offers) {
        addRow(grid, offer);
    }
    refreshRows();
}

void ExportOfferTable::addHead(QGridLayout* grid)
{
    const QString titles[ColumnCount] = {tr("Format"), tr("Bits"), tr("Size"), tr("Runs in")};
    for (int column = 0; column < ColumnCount; ++column) {
        QLabel* label = mutedLabel(titles[column]);
        label->setWordWrap(false);
        grid->addWidget(label, 0, column, alignmentOf(column));
        if (column == Bits) {
            label->setToolTip(tr("Bits per parameter of the model, all files together"));
        }
    }
}

void ExportOfferTable::addRow(QGridLayout* grid, const ExportOffer& offer)
{
    const int line = grid->rowCount();
    const QString why = toQString(offer.why_not);
    const QString texts[ColumnCount] = {nameOf(offer),
        offer.fits ? formatFixed(offer.bits_per_parameter, 2) : unknownValue(),
        offer.fits ? formatBytes(offer.bytes) : unknownValue(), runtimesOf(offer).join(u", "_s)};
    auto* box = new QCheckBox(texts[Format]);
    box->setObjectName(QString(u"offer_"_s + toQString(offer.format)));
    box->setEnabled(offer.fits);
    box->setToolTip(offer.fits ? tr("Parameter: %1").arg(toQString(offer.format)) : why);
    box->setAccessibleDescription(offer.fits
            ? tr("%1 bits, %2, runs in %3").arg(texts[Bits], texts[Size], texts[RunsIn])
            : why);
    connect(box, &QCheckBox::toggled, this, &ExportOfferTable::chosenChanged);
    grid->addWidget(box, line, Format);
    std::vector<QWidget*> parts = {box};
    for (int column = Bits; column < ColumnCount; ++column) {
        auto* label = new QLabel(texts[column]);
        label->setTextFormat(Qt::PlainText);
        label->setWordWrap(column == RunsIn);
        label->setEnabled(offer.fits);
        label->setToolTip(why);
        label->setAlignment(alignmentOf(column));
        grid->addWidget(label, line, column);
        parts.push_back(label);
    }
    if (QPushButton* action = actionOf(offer)) {
        grid->addWidget(action, line, Action);
        parts.push_back(action);
    }
    if (!offer.fits) {
        QLabel* reason = mutedLabel(tr("Not possible: %1").arg(why));
        reason->setObjectName(QString(u"offerReason_"_s + toQString(offer.format)));
        reason->setTextFormat(Qt::PlainText);
        reason->setIndent(24);
        grid->addWidget(reason, line + 1, Format, 1, ColumnCount + 1);
        parts.push_back(reason);
    }
    m_rows.push_back({offer, box, std::move(parts)});
}

QPushButton* ExportOfferTable::actionOf(const ExportOffer& offer)
{
    if (!offer.fits && offer.own_scheme.empty()) {
        return nullptr;
    }
    const QString format = toQString(offer.format);
    auto* button = new QPushButton(offer.fits ? tr("Model card…") : tr("New run…"));
    button->setProperty("flat", true);
    button->setAutoDefault(false);
    if (offer.fits) {
        button->setObjectName(QString(u"offerCard_"_s + format));
        button->setAccessibleName(tr("Model card of %1").arg(nameOf(offer)));
        button->setToolTip(tr("Shows the text that will lie beside the files"));
        connect(button, &QPushButton::clicked, this,
            [this, id = offer.format] { Q_EMIT cardRequested(id); });
    } else {
        button->setObjectName(QString(u"offerRun_"_s + format));
        button->setAccessibleName(tr("New run for %1").arg(nameOf(offer)));
        button->setToolTip(
            tr("Fills in a new job: %1, all else as in this run").arg(toQString(offer.own_scheme)));
        connect(
            button, &QPushButton::clicked, this, [this, offer] { Q_EMIT ownRunRequested(offer); });
    }
    return button;
}

void ExportOfferTable::setRuntime(const QString& runtime)
{
    m_runtime = runtime;
    refreshRows();
    Q_EMIT chosenChanged();
}

void ExportOfferTable::refreshRows()
{
    for (const Row& row : m_rows) {
        const bool shown = m_runtime.isEmpty() || runtimesOf(row.offer).contains(m_runtime);
        for (QWidget* part : row.parts) {
            part->setVisible(shown);
        }
    }
}

QStringList ExportOfferTable::runtimes() const
{
    QStringList names;
    for (const Row& row : m_rows) {
        names << runtimesOf(row.offer);
    }
    names.removeDuplicates();
    names.sort(Qt::CaseInsensitive);
    return names;
}

std::vector<ExportOffer> ExportOfferTable::chosen() const
{
    std::vector<ExportOffer> offers;
    for (const Row& row : m_rows) {
        if (row.box->isChecked() && !row.box->isHidden()) {
            offers.push_back(row.offer);
        }
    }
    return offers;
}

void ExportOfferTable::untick(const std::string& format)
{
    for (const Row& row : m_rows) {
        if (row.offer.format == format) {
            row.box->setChecked(false);
        }
    }
}

QString ExportOfferTable::title(const std::string& format) const
{
    for (const Row& row : m_rows) {
        if (row.offer.format == format) {
            return nameOf(row.offer);
        }
    }
    return toQString(format);
}

} // namespace bitsmith::ui
