// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/scheme_combo.h"

#include "widgets/text/format_text.h"

#include <bitsmith/catalog.h>

#include <QSignalBlocker>
#include <QStandardItemModel>

namespace bitsmith::ui {

namespace {

/// Columns of a layer that bits per weight are told for; wide enough for every group size.
constexpr int64_t kTypicalColumns = 4096;

QString groupTitle(const std::string& group)
{
    if (group == "integer") {
        return SchemeCombo::tr("Integer weights");
    }
    if (group == "floating") {
        return SchemeCombo::tr("Floating point");
    }
    return group == "gguf" ? SchemeCombo::tr("GGUF types") : toQString(group);
}

} // namespace

SchemeCombo::SchemeCombo(QWidget* parent)
    : QComboBox(parent)
{
    setObjectName(QStringLiteral("schemeCombo"));
    setAccessibleName(tr("Scheme"));
    setMaxVisibleItems(24);
    setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    setMinimumContentsLength(16);
    auto* items = new QStandardItemModel(this);
    std::string group;
    for (const SchemeInfo& info : scheme_catalog()) {
        if (info.group != group) {
            group = info.group;
            auto* head = new QStandardItem(groupTitle(group));
            head->setFlags(Qt::NoItemFlags);
            items->appendRow(head);
        }
        const QString bits = formatFixed(effective_bits(info.scheme, kTypicalColumns), 2);
        auto* item =
            new QStandardItem(tr("%1   %2 bits per weight").arg(toQString(info.name), bits));
        item->setData(toQString(info.name), Qt::UserRole);
        item->setToolTip(toQString(info.title));
        items->appendRow(item);
    }
    setModel(items);
    connect(this, &QComboBox::activated, this,
        [this](int index) { Q_EMIT schemeEdited(itemData(index).toString()); });
}

void SchemeCombo::setScheme(const QString& name)
{
    const QSignalBlocker blocker(this);
    int index = findData(name, Qt::UserRole, Qt::MatchFixedString);
    if (index < 0) {
        addItem(name, name);
        index = count() - 1;
    }
    setCurrentIndex(index);
    setToolTip(itemData(index, Qt::ToolTipRole).toString());
}

QString SchemeCombo::scheme() const
{
    return currentData().toString();
}

} // namespace bitsmith::ui
