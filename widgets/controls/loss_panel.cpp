// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/loss_panel.h"

#include "widgets/plots/block_loss_plot.h"
#include "widgets/plots/step_loss_plot.h"
#include "widgets/plots/touch_up_plot.h"
#include "widgets/state/run_state.h"
#include "widgets/state/selection_hub.h"

#include <QButtonGroup>
#include <QHBoxLayout>
#include <QPushButton>
#include <QStackedLayout>
#include <QTimer>

#include <array>

namespace bitsmith::ui {

namespace {

constexpr int kRefreshMs = 50;

} // namespace

LossPanel::LossPanel(RunState* state, SelectionHub* selection, QWidget* parent)
    : Card(tr("Loss"), parent)
    , m_state(state)
    , m_selection(selection)
    , m_stack(new QStackedLayout)
    , m_steps(new StepLossPlot)
    , m_blocks(new BlockLossPlot)
    , m_touchUp(new TouchUpPlot)
    , m_timer(new QTimer(this))
{
    setObjectName(QStringLiteral("lossPanel"));
    m_stack->addWidget(m_steps);
    m_stack->addWidget(m_blocks);
    m_stack->addWidget(m_touchUp);
    body()->addLayout(m_stack, 1);
    m_stepsButton = addSegment(tr("Steps"), QStringLiteral("lossStepsButton"), Steps);
    m_blocksButton = addSegment(tr("All blocks"), QStringLiteral("lossBlocksButton"), Blocks);
    m_touchUpButton = addSegment(tr("Touch-up"), QStringLiteral("lossTouchUpButton"), TouchUp);
    auto* group = new QButtonGroup(this);
    group->addButton(m_stepsButton);
    group->addButton(m_blocksButton);
    group->addButton(m_touchUpButton);
    m_stepsButton->setChecked(true);
    auto* log = new QPushButton(tr("Log"));
    log->setObjectName(QStringLiteral("lossLogButton"));
    log->setProperty("segment", true);
    log->setCheckable(true);
    log->setChecked(true);
    log->setToolTip(tr("Logarithmic loss axis"));
    header()->addSpacing(12);
    header()->addWidget(log);
    connect(log, &QPushButton::toggled, m_steps, &StepLossPlot::setLogarithmic);
    connect(log, &QPushButton::toggled, m_blocks, &BlockLossPlot::setLogarithmic);
    connect(m_blocks, &BlockLossPlot::blockClicked, this,
        [this](int block) { m_selection->select(block, -1); });
    m_timer->setSingleShot(true);
    m_timer->setInterval(kRefreshMs);
    connect(m_timer, &QTimer::timeout, this, &LossPanel::refresh);
    connect(state, &RunState::cleared, this, &LossPanel::refresh);
    connect(state, &RunState::stepsChanged, this, &LossPanel::refreshSoon);
    connect(state, &RunState::blocksChanged, this, &LossPanel::refreshSoon);
    connect(state, &RunState::cleared, this, &LossPanel::refreshTouchUp);
    connect(state, &RunState::metricsChanged, this, &LossPanel::refreshTouchUp);
    connect(selection, &SelectionHub::selectionChanged, this, &LossPanel::refreshSoon);
    refresh();
    refreshTouchUp();
}

QPushButton* LossPanel::addSegment(const QString& text, const QString& name, View view)
{
    auto* button = new QPushButton(text);
    button->setObjectName(name);
    button->setProperty("segment", true);
    button->setCheckable(true);
    header()->addWidget(button);
    connect(button, &QPushButton::clicked, this, [this, view] { setView(view); });
    return button;
}

void LossPanel::setView(View view)
{
    m_stack->setCurrentIndex(view);
    const std::array buttons = {m_stepsButton, m_blocksButton, m_touchUpButton};
    buttons[static_cast<std::size_t>(view)]->setChecked(true);
    refresh();
}

LossPanel::View LossPanel::view() const
{
    return static_cast<View>(m_stack->currentIndex());
}

void LossPanel::refreshSoon()
{
    if (!m_timer->isActive()) {
        m_timer->start();
    }
}

int LossPanel::shownBlock() const
{
    const RunPicture& run = m_state->picture();
    if (m_selection->block() >= 0) {
        return m_selection->block();
    }
    if (run.activeBlock >= 0) {
        return run.activeBlock;
    }
    for (int i = static_cast<int>(run.blocks.size()) - 1; i >= 0; --i) {
        if (!run.blocks[static_cast<std::size_t>(i)].series.steps.empty()) {
            return i;
        }
    }
    return -1;
}

/// Measures come a few times in a run, steps thousands of times.
void LossPanel::refreshTouchUp()
{
    m_touchUp->setMetrics(m_state->picture().metrics);
    m_touchUpButton->setVisible(m_touchUp->pointCount() > 0);
}

void LossPanel::refresh()
{
    m_timer->stop();
    const RunPicture& run = m_state->picture();
    if (view() == TouchUp) {
        titleLabel()->setText(tr("Divergence of the whole model"));
        return;
    }
    if (view() == Blocks) {
        m_blocks->setBlocks(run.blocks);
        titleLabel()->setText(tr("Loss"));
        return;
    }
    const int block = shownBlock();
    const auto at = [&run](int index) -> const BlockPicture* {
        const bool known = index >= 0 && index < static_cast<int>(run.blocks.size());
        return known ? &run.blocks[static_cast<std::size_t>(index)] : nullptr;
    };
    m_steps->setSeries(block, at(block), at(block - 1));
    titleLabel()->setText(block < 0 ? tr("Loss") : tr("Loss of block %1").arg(block));
}

} // namespace bitsmith::ui
