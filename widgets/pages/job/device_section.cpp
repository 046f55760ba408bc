// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/pages/job/device_section.h"

#include "widgets/text/format_text.h"

#include <QComboBox>
#include <QSignalBlocker>
#include <QStandardItemModel>

namespace bitsmith::ui {

namespace {

/// Fields shown as rows; device and run folder have controls of their own.
template <class List>
List shownFields(const List& list)
{
    const std::vector<FieldDescription> fields = describeFields(RuntimeSection());
    List shown;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        if (fields[i].key != "device" && fields[i].key != "run_dir") {
            shown.push_back(list[i]);
        }
    }
    return shown;
}

} // namespace

DeviceSection::DeviceSection(JobDraft* draft)
    : JobSection(draft, tr("Device"), "runtime")
    , m_device(new QComboBox)
    , m_options(new OptionForm(
          QStringLiteral("runtime_"), shownFields(describeFields(RuntimeSection())), 2))
{
    m_device->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_device->setMinimumContentsLength(16);
    m_device->setObjectName(QStringLiteral("deviceCombo"));
    m_device->setAccessibleName(tr("Device"));
    body()->addWidget(m_device);
    body()->addWidget(m_options);
    setForm(m_options);
    setDevices({});
    connect(m_device, &QComboBox::activated, this, [this](int index) {
        const std::string id = m_device->itemData(index).toString().toStdString();
        this->draft()->edit([&id](JobSpec& spec) { spec.runtime.device = id; });
    });
    connect(m_options, &OptionForm::valueEdited, this,
        [this](const std::string& key, const FieldValue& value) {
            this->draft()->edit([&](JobSpec& spec) { writeField(spec.runtime, key, value); });
        });
    startRefreshing();
}

void DeviceSection::setDevices(const std::vector<DeviceInfo>& devices)
{
    auto* items = new QStandardItemModel(m_device);
    auto* automatic = new QStandardItem(tr("Automatic: the fastest device that can be used"));
    automatic->setData(QStringLiteral("auto"), Qt::UserRole);
    items->appendRow(automatic);
    for (const DeviceInfo& device : devices) {
        QString text = tr("%1   %2, %3 of %4 free")
                           .arg(toQString(device.id), toQString(device.name),
                               formatBytes(device.free_bytes), formatBytes(device.total_bytes));
        if (!device.note.empty()) {
            text = tr("%1   %2 (%3)")
                       .arg(toQString(device.id), toQString(device.name), toQString(device.note));
        }
        auto* item = new QStandardItem(text);
        item->setData(toQString(device.id), Qt::UserRole);
        item->setEnabled(device.note.empty());
        items->appendRow(item);
    }
    const QSignalBlocker blocker(m_device);
    m_device->setModel(items);
    refresh();
}

void DeviceSection::refresh()
{
    const RuntimeSection& section = draft()->spec().runtime;
    const QSignalBlocker blocker(m_device);
    int index = m_device->findData(toQString(section.device));
    if (index < 0) {
        m_device->addItem(toQString(section.device), toQString(section.device));
        index = m_device->count() - 1;
    }
    m_device->setCurrentIndex(index);
    m_options->setValues(
        shownFields(readFields(section)), shownFields(readFields(RuntimeSection())));
}

} // namespace bitsmith::ui
