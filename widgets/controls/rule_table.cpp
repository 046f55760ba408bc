// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/rule_table.h"

#include "widgets/controls/log_view.h"
#include "widgets/models/rule_table_model.h"
#include "widgets/text/format_text.h"
#include "widgets/theme/icons.h"

#include <bitsmith/catalog.h>

#include <QComboBox>
#include <QHeaderView>
#include <QPushButton>
#include <QStyledItemDelegate>
#include <QTableView>
#include <QVBoxLayout>

namespace bitsmith::ui {

namespace {

/// Edits a scheme with the catalogue's names and "keep".
class SchemeDelegate : public QStyledItemDelegate
{
public:
    using QStyledItemDelegate::QStyledItemDelegate;

    QWidget* createEditor(
        QWidget* parent, const QStyleOptionViewItem&, const QModelIndex&) const override
    {
        auto* combo = new QComboBox(parent);
        combo->setEditable(true);
        combo->addItem(QStringLiteral("keep"));
        for (const SchemeInfo& info : scheme_catalog()) {
            combo->addItem(toQString(info.name));
        }
        return combo;
    }
    void setEditorData(QWidget* editor, const QModelIndex& index) const override
    {
        static_cast<QComboBox*>(editor)->setEditText(index.data(Qt::EditRole).toString());
    }
    void setModelData(
        QWidget* editor, QAbstractItemModel* model, const QModelIndex& index) const override
    {
        model->setData(index, static_cast<QComboBox*>(editor)->currentText(), Qt::EditRole);
    }
};

} // namespace

RuleTable::RuleTable(RuleTableModel* model, QWidget* parent)
    : QWidget(parent)
    , m_model(model)
    , m_table(makeTable(QStringLiteral("ruleTable"), tr("Rules for single layers")))
{
    m_table->setModel(model);
    m_table->setItemDelegateForColumn(RuleTableModel::SchemeName, new SchemeDelegate(m_table));
    m_table->setEditTriggers(QAbstractItemView::DoubleClicked | QAbstractItemView::EditKeyPressed
        | QAbstractItemView::AnyKeyPressed);
    m_table->horizontalHeader()->setSectionResizeMode(
        RuleTableModel::Pattern, QHeaderView::Stretch);
    const int row = m_table->verticalHeader()->defaultSectionSize();
    m_table->setFixedHeight(row * 5);
    auto* add = new QPushButton(themedIcon(Icon::Add), tr("Add rule"));
    add->setObjectName(QStringLiteral("addRuleButton"));
    connect(add, &QPushButton::clicked, this, &RuleTable::onAddClicked);
    auto* remove = new QPushButton(themedIcon(Icon::Remove), tr("Remove"));
    remove->setObjectName(QStringLiteral("removeRuleButton"));
    connect(remove, &QPushButton::clicked, this, &RuleTable::onRemoveClicked);
    auto* buttons = new QHBoxLayout;
    buttons->addWidget(add);
    buttons->addWidget(remove);
    buttons->addStretch();
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(m_table);
    layout->addLayout(buttons);
}

void RuleTable::onAddClicked()
{
    m_model->addRule(QStringLiteral("*down_proj"), QStringLiteral("keep"));
    const QModelIndex added = m_model->index(m_model->rowCount() - 1, RuleTableModel::Pattern);
    m_table->setCurrentIndex(added);
    m_table->edit(added);
}

void RuleTable::onRemoveClicked()
{
    m_model->removeRule(m_table->currentIndex().row());
}

} // namespace bitsmith::ui
