// SPDX-License-Identifier: GPL-3.0-or-later
// How far a series of exports is: one bar over all of them, and what is being done.
#pragma once

#include "widgets/state/export_worker.h"

#include <QStringList>
#include <QWidget>

class QLabel;
class QProgressBar;

namespace bitsmith::ui {

class ExportProgressView : public QWidget
{
    Q_OBJECT

public:
    explicit ExportProgressView(QWidget* parent = nullptr);

    /// `titles`: name of each order's format for people.
    void begin(const std::vector<ExportOrder>& orders, const QStringList& titles);
    void showProgress(const ExportProgress& progress);
    void showCancelling();

private:
    QString textOf(const ExportProgress& progress) const;

    std::vector<ExportOrder> m_orders;
    QStringList m_titles;
    QProgressBar* m_bar;
    QLabel* m_activity;
};

} // namespace bitsmith::ui
