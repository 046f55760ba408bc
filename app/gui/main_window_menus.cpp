// SPDX-License-Identifier: GPL-3.0-or-later
// Menus, theme choice, About and closing of the window.
#include "app/gui/main_window.h"
#include "widgets/theme/icons.h"
#include "widgets/theme/theme.h"

#include <bitsmith/version.h>

#include <QAction>
#include <QActionGroup>
#include <QApplication>
#include <QCloseEvent>
#include <QEventLoop>
#include <QMenuBar>
#include <QMessageBox>
#include <QProgressDialog>

using namespace Qt::StringLiterals;

namespace bitsmith::gui {

void MainWindow::buildMenus()
{
    QMenu* file = menuBar()->addMenu(tr("&File"));
    QAction* newJob = file->addAction(ui::themedIcon(ui::Icon::NewJob), tr("&New job"));
    newJob->setShortcut(QKeySequence::New);
    connect(newJob, &QAction::triggered, this, [this] { showPage(NewJob); });
    QAction* open = file->addAction(ui::themedIcon(ui::Icon::Folder), tr("&Open run…"));
    open->setShortcut(QKeySequence::Open);
    connect(open, &QAction::triggered, this, &MainWindow::chooseRunFolder);
    file->addAction(tr("Open &job…"), this, &MainWindow::chooseJobFile);
    QAction* save = file->addAction(tr("&Save job…"));
    save->setShortcut(QKeySequence::Save);
    connect(save, &QAction::triggered, this, &MainWindow::saveJobFile);
    file->addSeparator();
    QAction* quit = file->addAction(tr("&Quit"));
    quit->setShortcut(QKeySequence(Qt::CTRL | Qt::Key_Q));
    quit->setMenuRole(QAction::QuitRole);
    connect(quit, &QAction::triggered, this, &QWidget::close);
    buildRunMenu();
    buildViewMenu();
    QMenu* help = menuBar()->addMenu(tr("&Help"));
    QAction* about = help->addAction(tr("&About Bitsmith"));
    about->setMenuRole(QAction::AboutRole);
    connect(about, &QAction::triggered, this, &MainWindow::showAbout);
}

void MainWindow::buildRunMenu()
{
    QMenu* run = menuBar()->addMenu(tr("&Run"));
    m_startAction = run->addAction(ui::themedIcon(ui::Icon::Play), tr("Start &demo"));
    m_startAction->setObjectName(u"startDemoAction"_s);
    connect(m_startAction, &QAction::triggered, this, &MainWindow::startDemo);
    run->addSeparator();
    m_pauseAction = run->addAction(ui::themedIcon(ui::Icon::Pause), tr("&Pause now"));
    m_pauseAction->setObjectName(u"pauseAction"_s);
    m_pauseAction->setShortcut(QKeySequence(Qt::CTRL | Qt::Key_P));
    connect(
        m_pauseAction, &QAction::triggered, this, [this] { m_controller->pause(PauseKind::Now); });
    m_pauseAfterAction = run->addAction(tr("Pause after this &block"));
    m_pauseAfterAction->setObjectName(u"pauseAfterAction"_s);
    m_pauseAfterAction->setShortcut(QKeySequence(Qt::CTRL | Qt::ALT | Qt::Key_P));
    connect(m_pauseAfterAction, &QAction::triggered, this,
        [this] { m_controller->pause(PauseKind::AfterBlock); });
    m_resumeAction = run->addAction(tr("&Resume"));
    m_resumeAction->setObjectName(u"resumeAction"_s);
    m_resumeAction->setShortcut(QKeySequence(Qt::CTRL | Qt::Key_R));
    connect(m_resumeAction, &QAction::triggered, this, &MainWindow::onResumeRequested);
    m_cancelAction = run->addAction(ui::themedIcon(ui::Icon::Stop), tr("&Cancel…"));
    m_cancelAction->setObjectName(u"cancelAction"_s);
    m_cancelAction->setShortcut(QKeySequence(Qt::CTRL | Qt::Key_Period));
    connect(m_cancelAction, &QAction::triggered, this, &MainWindow::onCancelRequested);
    for (QAction* action : {m_pauseAction, m_pauseAfterAction, m_resumeAction, m_cancelAction}) {
        action->setEnabled(false);
    }
}

void MainWindow::buildViewMenu()
{
    QMenu* view = menuBar()->addMenu(tr("&View"));
    const std::pair<Page, QString> pages[] = {
        {Home, tr("&Home")}, {NewJob, tr("&New job")}, {Run, tr("&Run")}};
    for (const auto& [page, title] : pages) {
        QAction* action = view->addAction(title);
        action->setShortcut(
            QKeySequence(Qt::CTRL | static_cast<Qt::Key>(Qt::Key_1 + static_cast<int>(page))));
        connect(action, &QAction::triggered, this, [this, page = page] { showPage(page); });
    }
    view->addSeparator();
    QMenu* themes = view->addMenu(tr("&Theme"));
    auto* group = new QActionGroup(this);
    const std::pair<ui::ThemeChoice, QString> choices[] = {
        {ui::ThemeChoice::System, tr("As the &system")}, {ui::ThemeChoice::Light, tr("&Light")},
        {ui::ThemeChoice::Dark, tr("&Dark")}};
    for (const auto& [choice, title] : choices) {
        QAction* action = themes->addAction(title);
        action->setCheckable(true);
        action->setChecked(choice == m_theme->choice());
        group->addAction(action);
        connect(action, &QAction::triggered, this, [this, choice = choice] {
            m_theme->setChoice(choice);
            m_settings.setTheme(choice);
        });
    }
    QAction* full = view->addAction(tr("&Full screen"));
    full->setShortcut(QKeySequence(Qt::Key_F11));
    full->setCheckable(true);
    connect(full, &QAction::toggled, this,
        [this](bool on) { setWindowState(windowState().setFlag(Qt::WindowFullScreen, on)); });
}

void MainWindow::showAbout()
{
    QMessageBox::about(this, tr("About Bitsmith"),
        tr("<h3>Bitsmith %1</h3><p>Quantizes large language models on this computer and shows what "
           "happens inside.</p><p>Qt %2. GPL-3.0-or-later.</p><p>Built on LibTorch (BSD-3), Qt "
           "(LGPL-3), QCustomPlot (GPL-3), nlohmann/json (MIT) and Rust crates (MIT, "
           "Apache-2.0).</p>")
            .arg(QStringLiteral(BITSMITH_VERSION), QString::fromLatin1(qVersion())));
}

bool MainWindow::askStopJob()
{
    const auto answer = QMessageBox::question(this, tr("Stop the running job?"),
        tr("Closing the window stops the job. Finished blocks are kept, and the run can be resumed "
           "later."),
        QMessageBox::Yes | QMessageBox::No, QMessageBox::No);
    return answer == QMessageBox::Yes;
}

void MainWindow::closeEvent(QCloseEvent* event)
{
    if (m_controller->isActive()) {
        if (!askStopJob()) {
            event->ignore();
            return;
        }
        QProgressDialog busy(tr("Stopping the job…"), {}, 0, 0, this);
        busy.setWindowModality(Qt::ApplicationModal);
        busy.setMinimumDuration(0);
        busy.show();
        QEventLoop wait;
        connect(m_controller, &JobController::finished, &wait, &QEventLoop::quit);
        m_controller->cancel();
        if (m_controller->isActive()) {
            wait.exec();
        }
    }
    m_settings.setGeometry(saveGeometry());
    QMainWindow::closeEvent(event);
}

} // namespace bitsmith::gui
