// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/export_result.h"

#include "widgets/controls/state_chip.h"
#include "widgets/controls/text_dialog.h"
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
    addFiles(outcome.files);
    addAnswers(outcome.answers);
    for (const ServeText& text : outcome.serveTexts) {
        addServeText(text);
    }
    addCommand(u"exportUpload"_s, tr("Share it on Hugging Face"), outcome.uploadCommand);
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

void ExportResult::addDetails(const QString& name, const QString& summary, const QString& button,
    const QString& title, const QString& details)
{
    auto* show = new QPushButton(button);
    show->setObjectName(QString(name + u"Button"_s));
    show->setAutoDefault(false);
    connect(show, &QPushButton::clicked, this,
        [this, title, details] { (new TextDialog(title, details, this))->open(); });
    auto* row = new QHBoxLayout;
    row->addWidget(selectableLabel(name, summary), 1);
    row->addWidget(show);
    body()->addLayout(row);
}

void ExportResult::addFiles(const std::vector<ExportFile>& files)
{
    if (files.empty()) {
        return;
    }
    QStringList lines;
    for (const ExportFile& file : files) {
        lines << tr("%1\n    %2, SHA-256 %3")
                     .arg(toQString(file.name), formatBytes(file.bytes), toQString(file.sha256));
    }
    addDetails(u"exportFiles"_s,
        tr("%n files, each with a checksum", nullptr, static_cast<int>(files.size())), tr("Files…"),
        tr("Files of the export"), lines.join(u'\n'));
}

void ExportResult::addAnswers(const std::vector<AnswerPair>& answers)
{
    if (answers.empty()) {
        return;
    }
    QStringList texts;
    int same = 0;
    for (const AnswerPair& pair : answers) {
        const bool equal = pair.first_difference < 0;
        same += equal ? 1 : 0;
        texts << tr("Prompt: %1\n\nOriginal: %2\n\nQuantized: %3\n\n%4")
                     .arg(toQString(pair.prompt), toQString(pair.original),
                         toQString(pair.quantized),
                         equal
                             ? tr("Both answers are the same.")
                             : tr("First difference at token %1.").arg(pair.first_difference + 1));
    }
    const QString summary =
        tr("%1 of %2 answers are the same as the original's").arg(same).arg(answers.size());
    addDetails(u"exportAnswers"_s, summary, tr("Answers…"), tr("Original and quantized model"),
        texts.join(u"\n\n————\n\n"_s));
}

void ExportResult::addServeText(const ServeText& text)
{
    const QString runtime = toQString(text.runtime);
    const QString name = u"exportServe_"_s + runtime;
    switch (text.kind) {
    case ServeKind::Command:
        addCommand(name, tr("Run it with %1").arg(runtime), toQString(text.text));
        break;
    case ServeKind::Modelfile:
        addDetails(name, tr("Run it with %1: a Modelfile").arg(runtime), tr("Modelfile…"),
            tr("Modelfile"), toQString(text.text));
        break;
    case ServeKind::Python:
        addDetails(name, tr("Run it with %1: a script").arg(runtime), tr("Script…"),
            tr("Python for %1").arg(runtime), toQString(text.text));
        break;
    }
}

void ExportResult::addCommand(const QString& name, const QString& title, const QString& command)
{
    if (command.isEmpty()) {
        return;
    }
    QLabel* label = selectableLabel(name, command);
    label->setFont(QFontDatabase::systemFont(QFontDatabase::FixedFont));
    label->setAccessibleName(tr("%1: %2").arg(title, command));
    QPushButton* copy = copyButton(QString(name + u"CopyButton"_s), tr("Copy command"), command);
    QLabel* what = mutedLabel(title);
    what->setWordWrap(false);
    auto* row = new QHBoxLayout;
    row->addWidget(what);
    row->addWidget(label, 1);
    row->addWidget(copy);
    body()->addLayout(row);
}

} // namespace bitsmith::ui
