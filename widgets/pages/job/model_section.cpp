// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/pages/job/model_section.h"

#include "widgets/controls/path_edit.h"
#include "widgets/controls/stat_tile.h"
#include "widgets/text/format_text.h"
#include "widgets/theme/theme.h"

#include <QLabel>
#include <QStackedLayout>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

ModelSectionCard::ModelSectionCard(JobDraft* draft)
    : JobSection(draft, tr("Model"), "model")
    , m_path(new PathEdit(PathEdit::Kind::FolderOrFile, u"modelPath"_s))
    , m_stack(new QStackedLayout)
    , m_message(mutedLabel({}))
    , m_family(new StatTile(u"familyTile"_s, tr("Family")))
    , m_blocks(new StatTile(u"blocksTile"_s, tr("Blocks")))
    , m_parameters(new StatTile(u"parametersTile"_s, tr("Parameters")))
    , m_size(new StatTile(u"modelSizeTile"_s, tr("Size")))
    , m_tokenizer(new StatTile(u"tokenizerTile"_s, tr("Tokenizer")))
    , m_warnings(mutedLabel({}))
{
    m_path->setAccessibleLabel(tr("Model"));
    m_path->setPlaceholder(tr("Folder, .gguf file, or Hub id such as Qwen/Qwen3-0.6B"));
    m_path->setFileFilter(tr("GGUF files (*.gguf);;All files (*)"));
    m_message->setObjectName(u"modelMessage"_s);
    m_message->setTextFormat(Qt::PlainText);
    m_message->setAlignment(Qt::AlignLeft | Qt::AlignTop);
    m_stack->addWidget(m_message);
    m_stack->addWidget(buildFacts());
    body()->addWidget(m_path);
    body()->addLayout(m_stack);
    body()->addWidget(m_warnings);
    setFocusProxy(m_path);
    connect(m_path, &PathEdit::pathChanged, this, [this](const QString& path) {
        this->draft()->edit([&path](JobSpec& spec) { spec.model.path = path.toStdString(); });
    });
    startRefreshing();
}

QWidget* ModelSectionCard::buildFacts()
{
    auto* facts = new QWidget;
    auto* layout = new QHBoxLayout(facts);
    layout->setContentsMargins(0, 4, 0, 0);
    layout->setSpacing(24);
    for (StatTile* tile : {m_family, m_blocks, m_parameters, m_size, m_tokenizer}) {
        layout->addWidget(tile);
    }
    layout->addStretch();
    return facts;
}

void ModelSectionCard::setRecent(const QStringList& paths)
{
    m_path->setRecent(paths);
}

void ModelSectionCard::showFacts(const ModelInfo& model)
{
    m_family->setValue(toQString(model.family), toQString(model.architecture));
    const auto layers = std::count_if(model.layers.begin(), model.layers.end(),
        [](const LayerInfo& layer) { return layer.quantizable; });
    m_blocks->setValue(
        QString::number(model.blocks), tr("%n layers", nullptr, static_cast<int>(layers)));
    m_parameters->setValue(formatParameters(model.parameters),
        tr("context %1").arg(QLocale().toString(static_cast<qlonglong>(model.max_length))));
    m_size->setValue(
        formatBytes(model.bytes), model.kind == "gguf" ? tr("GGUF file") : tr("model folder"));
    m_tokenizer->setValue(model.tokenizer.empty() ? tr("none") : toQString(model.tokenizer),
        model.has_chat_template ? tr("with chat template") : tr("no chat template"));
    QStringList warnings;
    if (!model.quantization.empty()) {
        warnings << tr("Already quantized: %1").arg(toQString(model.quantization));
    }
    for (const std::string& warning : model.warnings) {
        warnings << toQString(warning);
    }
    m_warnings->setText(warnings.join(QLatin1Char('\n')));
    m_warnings->setVisible(!warnings.isEmpty());
}

void ModelSectionCard::refresh()
{
    const QString path = toQString(draft()->spec().model.path);
    if (m_path->path() != path) {
        m_path->setPath(path);
    }
    m_warnings->hide();
    const bool known = draft()->modelStatus() == JobDraft::ModelStatus::Known;
    m_stack->setCurrentIndex(known ? 1 : 0);
    switch (draft()->modelStatus()) {
    case JobDraft::ModelStatus::None:
        m_message->setText(tr("Choose a model to see what it is made of. Only headers are read, so "
                              "this takes less than a second."));
        break;
    case JobDraft::ModelStatus::Reading:
        m_message->setText(tr("Reading the model's headers…"));
        break;
    case JobDraft::ModelStatus::Failed:
        m_message->setText(draft()->modelError());
        break;
    case JobDraft::ModelStatus::Known:
        showFacts(*draft()->model());
        break;
    }
}

} // namespace bitsmith::ui
