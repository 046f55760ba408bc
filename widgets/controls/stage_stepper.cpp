// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/stage_stepper.h"

#include "widgets/text/format_text.h"
#include "widgets/text/run_text.h"

#include <QPainter>
#include <QStringList>

namespace bitsmith::ui {

namespace {

constexpr int kGap = 28;

QFont activeFont(const QFont& base)
{
    QFont font = base;
    font.setWeight(QFont::DemiBold);
    return font;
}

QString stateWord(PartState state)
{
    switch (state) {
    case PartState::Waiting:
        return StageStepper::tr("waiting");
    case PartState::Active:
        return StageStepper::tr("active");
    case PartState::Done:
        return StageStepper::tr("done");
    case PartState::Skipped:
        break;
    }
    return StageStepper::tr("skipped");
}

} // namespace

StageStepper::StageStepper(QWidget* parent)
    : QWidget(parent)
{
    setObjectName(QStringLiteral("stageStepper"));
    setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Fixed);
    setAccessibleName(tr("Stages of the job"));
}

void StageStepper::setStages(const std::array<StagePicture, RunPicture::kStages>& stages)
{
    m_stages = stages;
    QStringList words;
    for (int i = 0; i < RunPicture::kStages; ++i) {
        words << tr("%1: %2").arg(stageTitle(static_cast<Stage>(i)), stateWord(m_stages[i].state));
    }
    setAccessibleDescription(words.join(QStringLiteral(", ")));
    setToolTip(words.join(QLatin1Char('\n')));
    update();
}

int StageStepper::stepWidth(int index) const
{
    const QFontMetrics metrics(activeFont(font()));
    return metrics.height() + 6 + metrics.horizontalAdvance(stageTitle(static_cast<Stage>(index)));
}

QSize StageStepper::sizeHint() const
{
    int width = 0;
    for (int i = 0; i < RunPicture::kStages; ++i) {
        width += stepWidth(i) + kGap;
    }
    return {width - kGap, fontMetrics().height() + 8};
}

QSize StageStepper::minimumSizeHint() const
{
    return sizeHint();
}

void StageStepper::paintStep(QPainter& painter, int index, int x) const
{
    const PartState state = m_stages[index].state;
    const bool active = state == PartState::Active;
    const bool done = state == PartState::Done;
    const QColor color = roleColor(palette(),
        active     ? ColorRole::Accent
            : done ? ColorRole::Good
                   : ColorRole::Faint);
    const QFontMetrics metrics(activeFont(font()));
    const double side = metrics.height();
    const QRectF mark(x, (height() - side) / 2.0, side, side);
    painter.setPen(QPen(color, 1.4));
    painter.setBrush(active || done ? QBrush(tint(palette(), color, 0.16)) : Qt::NoBrush);
    painter.drawEllipse(mark.adjusted(1, 1, -1, -1));
    if (done) {
        paintIcon(painter, Icon::Check, mark.adjusted(3, 3, -3, -3), color);
    } else if (active) {
        painter.setPen(Qt::NoPen);
        painter.setBrush(color);
        painter.drawEllipse(mark.center(), side / 5, side / 5);
    } else if (state == PartState::Skipped) {
        paintIcon(painter, Icon::Remove, mark.adjusted(3, 3, -3, -3), color);
    }
    painter.setFont(active ? activeFont(font()) : font());
    painter.setPen(active || done ? palette().color(QPalette::WindowText)
                                  : roleColor(palette(), ColorRole::Muted));
    painter.drawText(QRectF(x + side + 6, 0, stepWidth(index), height()),
        Qt::AlignVCenter | Qt::AlignLeft, stageTitle(static_cast<Stage>(index)));
}

void StageStepper::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    int x = 0;
    for (int i = 0; i < RunPicture::kStages; ++i) {
        paintStep(painter, i, x);
        x += stepWidth(i);
        if (i + 1 < RunPicture::kStages) {
            painter.setPen(QPen(roleColor(palette(), ColorRole::Border), 1.4));
            painter.drawLine(QPointF(x + 7, height() / 2.0), QPointF(x + kGap - 7, height() / 2.0));
            x += kGap;
        }
    }
}

} // namespace bitsmith::ui
