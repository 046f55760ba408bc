// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/pages/job/scheme_section.h"

#include "widgets/controls/scheme_combo.h"
#include "widgets/text/format_text.h"

#include <bitsmith/catalog.h>

#include <QCheckBox>
#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QSignalBlocker>

#include <algorithm>

namespace bitsmith::ui {

namespace {

/// The three values that people change; the scheme itself has a combo of its own.
std::vector<FieldDescription> changeFields()
{
    std::vector<FieldDescription> fields = describeFields(SchemeSection());
    fields.erase(std::remove_if(fields.begin(), fields.end(),
                     [](const FieldDescription& field) {
                         return field.key != "bits" && field.key != "group_size";
                     }),
        fields.end());
    return fields;
}

std::vector<FieldValue> changeValues(const SchemeSection& section)
{
    const auto value = [](const auto& field) { return field ? FieldValue(*field) : FieldValue(); };
    return {value(section.bits), value(section.group_size)};
}

QString sentence(const std::string& name)
{
    for (const SchemeInfo& info : scheme_catalog()) {
        if (info.name == name) {
            return toQString(info.title);
        }
    }
    return {};
}

} // namespace

SchemeSectionCard::SchemeSectionCard(JobDraft* draft)
    : JobSection(draft, tr("Scheme"), "scheme")
    , m_scheme(new SchemeCombo)
    , m_title(mutedLabel({}))
    , m_changes(new OptionForm(QStringLiteral("scheme_"), changeFields(), 2))
    , m_head(new QCheckBox(tr("Quantize the output head too")))
{
    m_head->setObjectName(QStringLiteral("quantHeadBox"));
    auto* symmetry = new QComboBox;
    symmetry->setObjectName(QStringLiteral("scheme_sym"));
    symmetry->setAccessibleName(tr("Symmetry"));
    symmetry->addItem(tr("Symmetry as the scheme"));
    symmetry->addItem(tr("Symmetric"));
    symmetry->addItem(tr("Asymmetric"));
    auto* last = new QHBoxLayout;
    last->addWidget(symmetry);
    last->addSpacing(16);
    last->addWidget(m_head);
    last->addStretch();
    body()->addWidget(m_scheme);
    body()->addWidget(m_title);
    body()->addWidget(m_changes);
    body()->addLayout(last);
    setForm(m_changes);
    m_changes->setEmptyText(tr("as the scheme"));
    connect(m_scheme, &SchemeCombo::schemeEdited, this, [this](const QString& name) {
        this->draft()->edit([&name](JobSpec& spec) { spec.scheme.scheme = name.toStdString(); });
    });
    connect(m_changes, &OptionForm::valueEdited, this,
        [this](const std::string& key, const FieldValue& value) {
            this->draft()->edit([&](JobSpec& spec) { writeField(spec.scheme, key, value); });
        });
    connect(m_head, &QCheckBox::toggled, this, [this](bool on) {
        this->draft()->edit([on](JobSpec& spec) { spec.scheme.quant_lm_head = on; });
    });
    connect(symmetry, &QComboBox::activated, this, [this](int index) {
        this->draft()->edit([index](JobSpec& spec) {
            spec.scheme.sym = index == 0 ? std::nullopt : std::optional(index == 1);
        });
    });
    connect(draft, &JobDraft::specChanged, symmetry, [this, symmetry] {
        const auto& sym = this->draft()->spec().scheme.sym;
        symmetry->setCurrentIndex(!sym ? 0 : *sym ? 1 : 2);
    });
    startRefreshing();
}

void SchemeSectionCard::refresh()
{
    const SchemeSection& section = draft()->spec().scheme;
    m_scheme->setScheme(toQString(section.scheme));
    m_title->setText(sentence(section.scheme));
    m_title->setVisible(!m_title->text().isEmpty());
    m_changes->setValues(changeValues(section), changeValues(SchemeSection()));
    const QSignalBlocker blocker(m_head);
    m_head->setChecked(section.quant_lm_head);
}

} // namespace bitsmith::ui
