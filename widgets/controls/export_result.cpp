// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/export_result.h"

#include "widgets/controls/state_chip.h"
#include "widgets/text/error_text.h"
#include "widgets/text/format_text.h"

#include <QClipboard>
#include <QFontDatabase>
#include <QGuiApplication>
#include <QLabel>
#include <QPushButton>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

namespace {

StateLook lookOfOutcome(const ExportOutcome& outcome)
{
    if (outcome.state != JobState::Done) {
        return lookOf(outcome.state);
    }
    if (outcome.findings.isEmpty()) {
        return {ExportResult::tr("Verified"), Icon::Check, ColorRole::Good};
    }
    return {ExportResult::tr("Check failed"), Icon::Error, ColorRole::Bad};
}

QLabel* selectableLabel(const QString& name, const QString& text)
{
    auto* label = new QLabel(text);
    label->setObjectName(name);
    label->setTextFormat(Qt::PlainText);
    label->setTextInteractionFlags(Qt::TextSelectableByMouse);
    label->setWordWrap(true);
    return label;
}

QPushButton* copyButton(const QString& name, const QString& title, const QString& text)
{
    auto* button = new QPushButton(themedIcon(Icon::Copy), title);
    button->setObjectName(name);
    button->setAutoDefault(false);
    QObject::connect(button, &QPushButton::clicked, button,
        [text] { QGuiApplication::clipboard()->setText(text); });
    return button;
}

} // namespace

ExportResult::ExportResult(const ExportOutcome& outcome, const QString& title, QWidget* parent)
    : Card(title, parent)
{
    setObjectName(QString(u"exportResult_"_s + toQString(outcome.order.format)));
    auto* chip = new StateChip;
    chip->setLook(lookOfOutcome(outcome));
    header()->insertWidget(1, chip);
    if (outcome.state == JobState::Failed) {
        addText(
            u"exportMessage"_s, tr("%1. %2").arg(errorTitle(outcome.errorCode), outcome.message));
        return;
    }
    if (outcome.state == JobState::Cancelled) {
        addText(u"exportMessage"_s, tr("Nothing half-written was left."));
        return;
    }
    addPath(outcome);
    for (const QString& finding : outcome.findings) {
        addText(u"exportFinding"_s, tr("The files are kept, but differ: %1").arg(finding));
    }
    for (const QString& note : outcome.notes) {
        addText(u"exportNote"_s, tr("Note: %1").arg(note));
    }
    addCommand(outcome.serveCommand);
}

void ExportResult::addText(const QString& name, const QString& text)
{
    body()->addWidget(selectableLabel(name, text));
}

void ExportResult::addPath(const ExportOutcome& outcome)
{
    auto* size = new QLabel(formatBytes(outcome.bytes));
    size->setProperty("muted", true);
    header()->addWidget(size);
    auto* open = new QPushButton(themedIcon(Icon::Folder), tr("Open folder"));
    open->setObjectName(u"exportOpenButton"_s);
    open->setAutoDefault(false);
    const QString folder = QString::fromStdString(outcome.order.output.string());
    connect(open, &QPushButton::clicked, this, [this, folder] { Q_EMIT openRequested(folder); });
    auto* row = new QHBoxLayout;
    row->addWidget(selectableLabel(u"exportPath"_s, outcome.path), 1);
    row->addWidget(open);
    row->addWidget(copyButton(u"exportCopyPathButton"_s, tr("Copy path"), outcome.path));
    body()->addLayout(row);
}

void ExportResult::addCommand(const QString& command)
{
    if (command.isEmpty()) {
        return;
    }
    QLabel* label = selectableLabel(u"exportCommand"_s, command);
    label->setFont(QFontDatabase::systemFont(QFontDatabase::FixedFont));
    label->setAccessibleName(tr("Command that serves the model: %1").arg(command));
    auto* row = new QHBoxLayout;
    row->addWidget(label, 1);
    row->addWidget(copyButton(u"exportCopyCommandButton"_s, tr("Copy command"), command));
    body()->addLayout(row);
}

} // namespace bitsmith::ui
