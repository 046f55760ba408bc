// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/models/rule_table_model.h"

#include "widgets/text/format_text.h"

#include <QRegularExpression>

#include <algorithm>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

namespace {

std::vector<Override> rulesOf(const SchemeSection& section)
{
    std::vector<Override> rules = section.overrides;
    for (const std::string& pattern : section.keep) {
        rules.push_back({pattern, "keep"});
    }
    return rules;
}

} // namespace

bool matchesPattern(const std::string& pattern, const std::string& name)
{
    if (pattern.find_first_of("*?") == std::string::npos) {
        return !pattern.empty() && name.find(pattern) != std::string::npos;
    }
    QString expression = QRegularExpression::escape(QString::fromStdString(pattern));
    expression.replace(u"\\*"_s, u".*"_s).replace(u"\\?"_s, u"."_s);
    return QRegularExpression(QRegularExpression::anchoredPattern(expression))
        .match(QString::fromStdString(name))
        .hasMatch();
}

RuleTableModel::RuleTableModel(JobDraft* draft, QObject* parent)
    : QAbstractTableModel(parent)
    , m_draft(draft)
    , m_rules(rulesOf(draft->spec().scheme))
{
    connect(draft, &JobDraft::specChanged, this, &RuleTableModel::onSpecChanged);
    connect(draft, &JobDraft::modelChanged, this, [this] {
        if (!m_rules.empty()) {
            Q_EMIT dataChanged(index(0, Matches), index(rowCount() - 1, Matches));
        }
    });
}

void RuleTableModel::onSpecChanged()
{
    if (m_storing) {
        return;
    }
    std::vector<Override> rules = rulesOf(m_draft->spec().scheme);
    if (rules != m_rules) {
        beginResetModel();
        m_rules = std::move(rules);
        endResetModel();
    }
}

void RuleTableModel::store()
{
    m_storing = true;
    m_draft->edit([this](JobSpec& spec) {
        spec.scheme.overrides.clear();
        spec.scheme.keep.clear();
        for (const Override& rule : m_rules) {
            if (rule.scheme == "keep") {
                spec.scheme.keep.push_back(rule.pattern);
            } else {
                spec.scheme.overrides.push_back(rule);
            }
        }
    });
    m_storing = false;
}

void RuleTableModel::addRule(const QString& pattern, const QString& scheme)
{
    const auto row = rowCount();
    beginInsertRows({}, row, row);
    m_rules.push_back({pattern.toStdString(), scheme.toStdString()});
    endInsertRows();
    store();
}

void RuleTableModel::removeRule(int row)
{
    if (row < 0 || row >= rowCount()) {
        return;
    }
    beginRemoveRows({}, row, row);
    m_rules.erase(m_rules.begin() + row);
    endRemoveRows();
    store();
}

QString RuleTableModel::matchesText(const std::string& pattern) const
{
    const ModelInfo* model = m_draft->model();
    if (model == nullptr) {
        return unknownValue();
    }
    const auto count = std::count_if(model->layers.begin(), model->layers.end(),
        [&pattern](const LayerInfo& layer) { return matchesPattern(pattern, layer.name); });
    return tr("%n layers", nullptr, static_cast<int>(count));
}

int RuleTableModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(m_rules.size());
}

int RuleTableModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : ColumnCount;
}

QVariant RuleTableModel::data(const QModelIndex& index, int role) const
{
    if (!index.isValid() || (role != Qt::DisplayRole && role != Qt::EditRole)) {
        return {};
    }
    const Override& rule = m_rules[static_cast<std::size_t>(index.row())];
    switch (index.column()) {
    case Pattern:
        return QString::fromStdString(rule.pattern);
    case SchemeName:
        return QString::fromStdString(rule.scheme);
    default:
        return matchesText(rule.pattern);
    }
}

bool RuleTableModel::setData(const QModelIndex& index, const QVariant& value, int role)
{
    if (!index.isValid() || role != Qt::EditRole || index.column() == Matches) {
        return false;
    }
    Override& rule = m_rules[static_cast<std::size_t>(index.row())];
    const std::string text = value.toString().trimmed().toStdString();
    (index.column() == Pattern ? rule.pattern : rule.scheme) = text;
    Q_EMIT dataChanged(this->index(index.row(), 0), this->index(index.row(), Matches));
    store();
    return true;
}

Qt::ItemFlags RuleTableModel::flags(const QModelIndex& index) const
{
    const Qt::ItemFlags base = QAbstractTableModel::flags(index);
    return index.isValid() && index.column() != Matches ? base | Qt::ItemIsEditable : base;
}

QVariant RuleTableModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal || role != Qt::DisplayRole) {
        return {};
    }
    return section == Pattern   ? tr("Layer pattern")
        : section == SchemeName ? tr("Scheme")
                                : tr("Matches");
}

} // namespace bitsmith::ui
