// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/option_form.h"

#include "widgets/text/field_text.h"
#include "widgets/text/format_text.h"
#include "widgets/theme/icons.h"
#include "widgets/theme/theme.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QDoubleValidator>
#include <QGridLayout>
#include <QLabel>
#include <QLineEdit>
#include <QResizeEvent>
#include <QSignalBlocker>
#include <QToolButton>

#include <cmath>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

namespace {

/// Space above and below the text, as in a line edit.
constexpr int kFieldPadding = 12;

/// Whole numbers up to 2^53 are exact in a double spin box; QSpinBox ends at 2^31.
constexpr double kLargestWhole = 9007199254740992.0;

QString helpOf(const FieldDescription& field)
{
    QString text =
        fieldHelp(field.help) + u"\n"_s + OptionForm::tr("Parameter: %1").arg(toQString(field.key));
    if (std::isfinite(field.range.min) && std::isfinite(field.range.max)) {
        text += u"\n"_s
            + OptionForm::tr("Allowed: %1 to %2 %3")
                  .arg(field.range.min)
                  .arg(field.range.max)
                  .arg(toQString(field.range.unit))
                  .trimmed();
    }
    return text;
}

QDoubleValidator* realValidator(const FieldDescription& field, QObject* parent)
{
    auto* validator = new QDoubleValidator(parent);
    validator->setLocale(QLocale::c());
    if (std::isfinite(field.range.min)) {
        validator->setBottom(field.range.min);
    }
    if (std::isfinite(field.range.max)) {
        validator->setTop(field.range.max);
    }
    return validator;
}

} // namespace

OptionForm::OptionForm(const QString& prefix, const std::vector<FieldDescription>& fields,
    int columns, QWidget* parent)
    : QWidget(parent)
    , m_prefix(prefix)
    , m_grid(new QGridLayout(this))
    , m_wantedColumns(columns)
{
    m_grid->setContentsMargins(0, 0, 0, 0);
    m_grid->setHorizontalSpacing(8);
    m_grid->setVerticalSpacing(6);
    m_rows.reserve(fields.size());
    for (const FieldDescription& field : fields) {
        m_rows.push_back(makeRow(field, m_rows.size()));
    }
    layoutRows(columns);
}

OptionForm::Row OptionForm::makeRow(const FieldDescription& field, std::size_t position)
{
    Row row{field, nullptr, new QLabel(fieldTitle(field.key)), new QToolButton, {}};
    const QString name = m_prefix + toQString(field.key);
    row.editor = makeEditor(row);
    row.editor->setObjectName(name);
    row.editor->setToolTip(helpOf(field));
    row.editor->setAccessibleName(fieldTitle(field.key));
    row.editor->setAccessibleDescription(fieldHelp(field.help));
    row.label->setBuddy(row.editor);
    row.label->setToolTip(helpOf(field));
    row.reset->setObjectName(QString(name + u"Reset"_s));
    row.reset->setIcon(themedIcon(Icon::Reset));
    row.reset->setAutoRaise(true);
    row.reset->setAccessibleName(tr("Reset %1").arg(fieldTitle(field.key)));
    QSizePolicy policy = row.reset->sizePolicy();
    policy.setRetainSizeWhenHidden(true);
    row.reset->setSizePolicy(policy);
    row.reset->hide();
    connect(row.reset, &QToolButton::clicked, this, [this, position] {
        Q_EMIT valueEdited(m_rows[position].field.key, m_rows[position].standard);
    });
    return row;
}

void OptionForm::layoutRows(int columns)
{
    if (columns == m_columns) {
        return;
    }
    m_columns = columns;
    while (QLayoutItem* item = m_grid->takeAt(0)) {
        delete item;
    }
    // Each column is a label, an editor, a reset button and a gap.
    for (int column = 0; column < m_wantedColumns; ++column) {
        m_grid->setColumnStretch(column * 4 + 1, column < columns ? 1 : 0);
        m_grid->setColumnMinimumWidth(column * 4 + 3, column + 1 < columns ? 8 : 0);
    }
    int index = 0;
    for (const Row& row : m_rows) {
        const int line = index / columns;
        const int first = index % columns * 4;
        m_grid->addWidget(row.label, line, first);
        m_grid->addWidget(row.editor, line, first + 1);
        m_grid->addWidget(row.reset, line, first + 2);
        ++index;
    }
}

int OptionForm::columnWidth() const
{
    int label = 0;
    int editor = 0;
    int reset = 0;
    for (const Row& row : m_rows) {
        label = std::max(label, row.label->sizeHint().width());
        editor =
            std::max({editor, row.editor->minimumSizeHint().width(), row.editor->minimumWidth()});
        reset = std::max(reset, row.reset->sizeHint().width());
    }
    return label + editor + reset + 4 * m_grid->horizontalSpacing();
}

QSize OptionForm::minimumSizeHint() const
{
    return {columnWidth(), QWidget::minimumSizeHint().height()};
}

void OptionForm::resizeEvent(QResizeEvent* event)
{
    QWidget::resizeEvent(event);
    layoutRows(width() >= m_wantedColumns * columnWidth() ? m_wantedColumns : 1);
}

QWidget* OptionForm::makeEditor(const Row& row)
{
    switch (row.field.kind) {
    case FieldKind::Bool:
        return makeBool(row.field);
    case FieldKind::Integer:
        return row.field.isOptional ? makeText(row.field) : makeNumber(row.field);
    case FieldKind::Choice:
        return makeChoice(row.field);
    case FieldKind::Real:
    case FieldKind::Text:
        break;
    }
    return makeText(row.field);
}

QWidget* OptionForm::makeBool(const FieldDescription& field)
{
    auto* box = new QCheckBox;
    connect(box, &QCheckBox::toggled, this,
        [this, key = field.key](bool on) { Q_EMIT valueEdited(key, on); });
    return box;
}

QWidget* OptionForm::makeNumber(const FieldDescription& field)
{
    auto* spin = new QDoubleSpinBox;
    spin->setDecimals(0);
    spin->setRange(
        std::max(field.range.min, -kLargestWhole), std::min(field.range.max, kLargestWhole));
    spin->setSpecialValueText(smallestMeaning(field.key));
    spin->setKeyboardTracking(false);
    spin->setStepType(QAbstractSpinBox::AdaptiveDecimalStepType);
    if (!field.range.unit.empty()) {
        spin->setSuffix(QString(u" "_s + toQString(field.range.unit)));
    }
    spin->setMinimumHeight(spin->fontMetrics().height() + kFieldPadding);
    // The size hint of the widest possible number would blow the form up.
    spin->setMinimumWidth(spin->fontMetrics().horizontalAdvance(u"1048576 samples  "_s));
    connect(spin, &QDoubleSpinBox::valueChanged, this, [this, key = field.key](double value) {
        Q_EMIT valueEdited(key, static_cast<int64_t>(std::llround(value)));
    });
    return spin;
}

QWidget* OptionForm::makeChoice(const FieldDescription& field)
{
    auto* combo = new QComboBox;
    for (const std::string& choice : field.choices) {
        combo->addItem(choiceTitle(field.key, choice), toQString(choice));
    }
    combo->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    combo->setMinimumContentsLength(10);
    connect(combo, &QComboBox::activated, this, [this, combo, key = field.key](int index) {
        Q_EMIT valueEdited(key, combo->itemData(index).toString().toStdString());
    });
    return combo;
}

QWidget* OptionForm::makeText(const FieldDescription& field)
{
    auto* edit = new QLineEdit;
    if (field.kind == FieldKind::Real || field.kind == FieldKind::Integer) {
        edit->setValidator(realValidator(field, edit));
    }
    if (field.isOptional) {
        edit->setPlaceholderText(tr("automatic"));
    }
    connect(edit, &QLineEdit::editingFinished, this, [this, edit, field] {
        const QString text = edit->text().trimmed();
        FieldValue value = text.toStdString();
        if (text.isEmpty() && field.isOptional) {
            value = std::monostate();
        } else if (field.kind == FieldKind::Real) {
            value = QLocale::c().toDouble(text);
        } else if (field.kind == FieldKind::Integer) {
            value = static_cast<int64_t>(text.toLongLong());
        }
        Q_EMIT valueEdited(field.key, value);
    });
    return edit;
}

void OptionForm::setValues(
    const std::vector<FieldValue>& values, const std::vector<FieldValue>& defaults)
{
    for (std::size_t i = 0; i < m_rows.size() && i < values.size(); ++i) {
        m_rows[i].standard = defaults[i];
        show(m_rows[i], values[i]);
    }
}

void OptionForm::show(Row& row, const FieldValue& value)
{
    const QSignalBlocker blocker(row.editor);
    showInEditor(row.editor, value);
    const bool changed = value != row.standard;
    row.reset->setVisible(changed);
    row.reset->setToolTip(tr("Changed; reset to %1")
                              .arg(std::holds_alternative<std::monostate>(row.standard)
                                      ? tr("automatic")
                                      : fieldValueText(row.standard)));
    row.label->setText(
        changed ? QString(fieldTitle(row.field.key) + u" •"_s) : fieldTitle(row.field.key));
}

void OptionForm::showInEditor(QWidget* editor, const FieldValue& value)
{
    if (auto* box = qobject_cast<QCheckBox*>(editor)) {
        box->setChecked(std::get<bool>(value));
    } else if (auto* spin = qobject_cast<QDoubleSpinBox*>(editor)) {
        spin->setValue(static_cast<double>(std::get<int64_t>(value)));
    } else if (auto* combo = qobject_cast<QComboBox*>(editor)) {
        combo->setCurrentIndex(combo->findData(fieldValueText(value)));
    } else if (auto* edit = qobject_cast<QLineEdit*>(editor)) {
        if (edit->text() != fieldValueText(value)) {
            edit->setText(fieldValueText(value));
            edit->setCursorPosition(0); // shows where a long text begins
        }
    }
}

void OptionForm::setProblem(const std::string& key, const QString& text)
{
    for (Row& row : m_rows) {
        if (row.field.key == key) {
            row.editor->setToolTip(text.isEmpty() ? helpOf(row.field) : text);
            QPalette palette = this->palette();
            if (!text.isEmpty()) {
                palette.setColor(QPalette::WindowText, roleColor(palette, ColorRole::Bad));
            }
            row.label->setPalette(palette);
            row.label->setToolTip(row.editor->toolTip());
        }
    }
}

void OptionForm::setEmptyText(const QString& text)
{
    for (Row& row : m_rows) {
        auto* edit = qobject_cast<QLineEdit*>(row.editor);
        if (edit != nullptr && row.field.isOptional) {
            edit->setPlaceholderText(text);
        }
    }
}

int OptionForm::changedCount() const
{
    return static_cast<int>(std::count_if(
        m_rows.begin(), m_rows.end(), [](const Row& row) { return !row.reset->isHidden(); }));
}

} // namespace bitsmith::ui
