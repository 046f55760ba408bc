// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/eval_panel.h"

#include "widgets/controls/export_list.h"
#include "widgets/controls/stat_tile.h"
#include "widgets/state/run_state.h"
#include "widgets/text/format_text.h"

#include <QGridLayout>
#include <QLabel>
#include <QStackedLayout>
#include <QVBoxLayout>

namespace bitsmith::ui {

EvalPanel::EvalPanel(RunState* state, QWidget* parent)
    : Card(tr("Result"), parent)
    , m_state(state)
    , m_stack(new QStackedLayout)
    , m_klMean(new StatTile(QStringLiteral("klMeanTile"), tr("KL divergence, mean")))
    , m_klP99(new StatTile(QStringLiteral("klP99Tile"), tr("99 % of tokens below")))
    , m_klMax(new StatTile(QStringLiteral("klMaxTile"), tr("Largest")))
    , m_perplexity(new StatTile(QStringLiteral("perplexityTile"), tr("Perplexity")))
    , m_top1(new StatTile(QStringLiteral("top1Tile"), tr("Same next token")))
    , m_size(new StatTile(QStringLiteral("sizeTile"), tr("Average bits")))
    , m_exports(new ExportList)
{
    setObjectName(QStringLiteral("evalPanel"));
    m_klMean->setToolTip(tr("How far the next-token probabilities moved from the original model's, "
                            "in nats per token. 0 means no difference."));
    m_top1->setToolTip(tr("Share of positions where both models find the same token most likely."));
    auto* empty = mutedLabel(tr("Quality measures and written files appear here when the job "
                                "reaches evaluation and export."));
    empty->setAlignment(Qt::AlignCenter);
    auto* page = new QWidget;
    auto* grid = new QGridLayout;
    grid->setHorizontalSpacing(16);
    grid->setVerticalSpacing(8);
    grid->addWidget(m_klMean, 0, 0);
    grid->addWidget(m_klP99, 0, 1);
    grid->addWidget(m_klMax, 0, 2);
    grid->addWidget(m_perplexity, 1, 0);
    grid->addWidget(m_top1, 1, 1);
    grid->addWidget(m_size, 1, 2);
    for (int column = 0; column < 3; ++column) {
        grid->setColumnStretch(column, 1);
    }
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(10);
    layout->addLayout(grid);
    layout->addWidget(m_exports, 1);
    m_stack->addWidget(empty);
    m_stack->addWidget(page);
    body()->addLayout(m_stack, 1);
    connect(m_exports, &ExportList::openRequested, this, &EvalPanel::openRequested);
    connect(state, &RunState::cleared, this, &EvalPanel::refresh);
    connect(state, &RunState::metricsChanged, this, &EvalPanel::refresh);
    connect(state, &RunState::headerChanged, this, &EvalPanel::refresh);
    refresh();
}

void EvalPanel::setMetric(StatTile* tile, std::string_view name, int decimals)
{
    const MetricReady* metric = m_state->picture().metric(name);
    tile->setValue(metric != nullptr ? formatFixed(metric->value, decimals) : unknownValue());
}

void EvalPanel::refreshPerplexity()
{
    const RunPicture& run = m_state->picture();
    const MetricReady* perplexity = run.metric("ppl");
    if (perplexity == nullptr) {
        m_perplexity->setValue(unknownValue());
        return;
    }
    std::optional<double> original = perplexity->reference;
    if (const MetricReady* separate = run.metric("ppl_reference");
        !original && separate != nullptr) {
        original = separate->value;
    }
    m_perplexity->setValue(formatFixed(perplexity->value, 2),
        original && *original > 0
            ? tr("original %1 (%2)")
                  .arg(formatFixed(*original, 2), formatChange(perplexity->value / *original - 1))
            : QString());
}

void EvalPanel::refresh()
{
    const RunPicture& run = m_state->picture();
    m_stack->setCurrentIndex(run.metrics.empty() && run.exports.empty() ? 0 : 1);
    setMetric(m_klMean, "kld_mean", 4);
    setMetric(m_klP99, "kld_p99", 3);
    setMetric(m_klMax, "kld_max", 2);
    refreshPerplexity();
    const MetricReady* top1 = run.metric("top1_agreement");
    m_top1->setValue(top1 != nullptr ? formatPercent(top1->value) : unknownValue());
    m_size->setValue(run.averageBits ? formatFixed(*run.averageBits, 2) : unknownValue());
    m_exports->setExports(run.exports);
}

} // namespace bitsmith::ui
