// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/export_progress_view.h"

#include "widgets/controls/card.h"
#include "widgets/text/format_text.h"

#include <QLabel>
#include <QProgressBar>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

namespace {

constexpr int kBarSteps = 1000;

/// Share of one order that is done, 0 to 1. Where answers are compared that is half of the work.
double shareOf(const ExportOrder& order, const ExportProgress& progress)
{
    const double written = order.comparesAnswers ? 0.5 : 1;
    const double done = progress.total > 0
        ? static_cast<double>(progress.done) / static_cast<double>(progress.total)
        : 0;
    switch (progress.step) {
    case ExportStep::Writing:
        return written * done;
    case ExportStep::ReadingBack:
        return written;
    case ExportStep::ComparingAnswers:
        return written + (1 - written) * done;
    }
    return 0;
}

} // namespace

ExportProgressView::ExportProgressView(QWidget* parent)
    : QWidget(parent)
    , m_bar(new QProgressBar)
    , m_activity(mutedLabel({}))
{
    m_bar->setObjectName(u"exportProgressBar"_s);
    m_bar->setRange(0, kBarSteps);
    m_bar->setTextVisible(false);
    m_bar->setAccessibleName(tr("Progress of the export"));
    m_activity->setObjectName(u"exportActivityLabel"_s);
    m_activity->setTextFormat(Qt::PlainText);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(m_bar);
    layout->addWidget(m_activity);
}

void ExportProgressView::begin(const std::vector<ExportOrder>& orders, const QStringList& titles)
{
    m_orders = orders;
    m_titles = titles;
    showProgress({});
}

void ExportProgressView::showProgress(const ExportProgress& progress)
{
    const ExportOrder& order = m_orders[static_cast<std::size_t>(progress.index)];
    const double share =
        (progress.index + shareOf(order, progress)) / static_cast<double>(m_orders.size());
    m_bar->setValue(static_cast<int>(share * kBarSteps));
    m_activity->setText(textOf(progress));
}

void ExportProgressView::showCancelling()
{
    m_activity->setText(tr("Cancelling; what is half-written is removed"));
}

QString ExportProgressView::textOf(const ExportProgress& progress) const
{
    const QString title = m_titles[progress.index];
    const QString number = QString::number(progress.index + 1);
    const QString count = QString::number(m_orders.size());
    if (progress.step == ExportStep::ReadingBack) {
        return tr("%1 (%2 of %3): reading the files back").arg(title, number, count);
    }
    if (progress.step == ExportStep::ComparingAnswers) {
        return tr("%1 (%2 of %3): comparing answers; cancelling keeps the files")
            .arg(title, number, count);
    }
    if (progress.total <= 0) {
        return tr("%1 (%2 of %3): opening the run").arg(title, number, count);
    }
    const auto amount = [&progress](int64_t value) {
        return progress.unit == "bytes"_L1 ? formatBytes(value) : QString::number(value);
    };
    const QString unit = progress.unit == "bytes"_L1 ? QString() : progress.unit;
    return tr("%1 (%2 of %3): %4 of %5 %6")
        .arg(title, number, count, amount(progress.done), amount(progress.total), unit)
        .trimmed();
}

} // namespace bitsmith::ui
