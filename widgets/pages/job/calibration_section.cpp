// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/pages/job/calibration_section.h"

#include "widgets/text/format_text.h"
#include "widgets/theme/icons.h"

#include <bitsmith/catalog.h>

#include <QComboBox>
#include <QFileDialog>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSignalBlocker>

namespace bitsmith::ui {

namespace {

/// Every field but the data set, which has a combo of its own.
template <class List>
List withoutDataset(List list)
{
    list.erase(list.begin());
    return list;
}

} // namespace

CalibrationSectionCard::CalibrationSectionCard(JobDraft* draft)
    : JobSection(draft, tr("Calibration text"), "calibration")
    , m_dataset(new QComboBox)
    , m_options(new OptionForm(
          QStringLiteral("calibration_"), withoutDataset(describeFields(CalibrationSection())), 2))
{
    m_dataset->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_dataset->setMinimumContentsLength(16);
    m_dataset->setObjectName(QStringLiteral("datasetCombo"));
    m_dataset->setAccessibleName(tr("Calibration text"));
    m_dataset->setEditable(true);
    m_dataset->setInsertPolicy(QComboBox::NoInsert);
    m_dataset->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    for (const NamedItem& item : dataset_catalog()) {
        m_dataset->addItem(toQString(item.id));
        m_dataset->setItemData(m_dataset->count() - 1, toQString(item.title), Qt::ToolTipRole);
    }
    auto* browse = new QPushButton(themedIcon(Icon::Folder), tr("Browse…"));
    browse->setObjectName(QStringLiteral("datasetBrowse"));
    auto* row = new QHBoxLayout;
    row->addWidget(m_dataset, 1);
    row->addWidget(browse);
    body()->addLayout(row);
    body()->addWidget(mutedLabel(
        tr("“self” lets the model write its own text, without any download. Files may be .txt, "
           ".json or .jsonl; several are separated by commas.")));
    body()->addWidget(m_options);
    setForm(m_options);
    connect(m_dataset, &QComboBox::activated, this, &CalibrationSectionCard::onDatasetChosen);
    connect(m_dataset->lineEdit(), &QLineEdit::editingFinished, this,
        &CalibrationSectionCard::onDatasetChosen);
    connect(browse, &QPushButton::clicked, this, &CalibrationSectionCard::onBrowseClicked);
    connect(m_options, &OptionForm::valueEdited, this,
        [this](const std::string& key, const FieldValue& value) {
            this->draft()->edit([&](JobSpec& spec) { writeField(spec.calibration, key, value); });
        });
    startRefreshing();
}

void CalibrationSectionCard::onDatasetChosen()
{
    const std::string dataset = m_dataset->currentText().trimmed().toStdString();
    draft()->edit([&dataset](JobSpec& spec) { spec.calibration.dataset = dataset; });
}

void CalibrationSectionCard::onBrowseClicked()
{
    const QStringList files = QFileDialog::getOpenFileNames(this, tr("Choose calibration text"), {},
        tr("Text (*.txt *.json *.jsonl *.safetensors);;All files (*)"));
    if (!files.isEmpty()) {
        m_dataset->setEditText(files.join(QLatin1Char(',')));
        onDatasetChosen();
    }
}

void CalibrationSectionCard::refresh()
{
    const CalibrationSection& section = draft()->spec().calibration;
    const QSignalBlocker blocker(m_dataset);
    if (m_dataset->currentText() != toQString(section.dataset)) {
        m_dataset->setEditText(toQString(section.dataset));
    }
    m_options->setValues(
        withoutDataset(readFields(section)), withoutDataset(readFields(CalibrationSection())));
}

} // namespace bitsmith::ui
