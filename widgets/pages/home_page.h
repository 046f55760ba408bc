// SPDX-License-Identifier: GPL-3.0-or-later
// First page: what the program is, the three ways to begin, and the recent runs.
#pragma once

#include <QWidget>

class QListView;
class QPushButton;
class QStackedLayout;

namespace bitsmith::ui {

class Card;
class RunListModel;

class HomePage : public QWidget
{
    Q_OBJECT

public:
    explicit HomePage(RunListModel* runs, QWidget* parent = nullptr);

Q_SIGNALS:
    void demoRequested();
    void newJobRequested();
    void openRunRequested(); ///< asks for a folder
    void runChosen(const QString& folder);
    void resumeRequested(const QString& folder);
    void pathDropped(const QString& path); ///< model, run folder or job file

protected:
    void dragEnterEvent(QDragEnterEvent* event) override;
    void dropEvent(QDropEvent* event) override;

private:
    QWidget* buildIntro();
    Card* buildStart();
    Card* buildRuns();
    void refresh();
    void openCurrent();

    RunListModel* m_runs;
    QListView* m_list;
    QStackedLayout* m_listStack = nullptr;
    QPushButton* m_open = nullptr;
    QPushButton* m_resume = nullptr;
};

} // namespace bitsmith::ui
