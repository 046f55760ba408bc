// SPDX-License-Identifier: GPL-3.0-or-later
// The window: navigation, pages, menus. It owns the state objects and connects pages with services;
// it knows pages, not their insides.
#pragma once

#include "app/gui/app_settings.h"
#include "app/gui/job_controller.h"
#include "app/gui/services/run_library.h"

#include <bitsmith/export_offer.h>

#include <QMainWindow>

#include <memory>

class QAction;
class QLabel;
class QStackedWidget;

namespace bitsmith::ui {
struct ExportOutcome;
class HomePage;
class JobDraft;
class NavigationRail;
class NewJobPage;
class RunListModel;
class RunPage;
class RunState;
class Theme;
} // namespace bitsmith::ui

namespace bitsmith::gui {

class MainWindow : public QMainWindow
{
    Q_OBJECT

public:
    enum Page
    {
        Home,
        NewJob,
        Run,
        PageCount
    };

    /// `runner` runs the jobs; tests and pictures pass a replay.
    MainWindow(ui::Theme* theme, std::unique_ptr<Runner> runner);

    ui::RunState* runState() { return m_runState; }
    ui::JobDraft* draft() { return m_draft; }
    ui::RunListModel* runList() { return m_runs; }
    ui::RunPage* runPage() { return m_runPage; }
    ui::NewJobPage* newJobPage() { return m_newJobPage; }
    JobController* controller() { return m_controller; }

    void showPage(Page page);
    /// Run folder, job file or model.
    void openPath(const QString& path);
    void startDemo();
    void startJob(const JobSpec& spec, bool resume);
    /// Looks for devices and runs; not done for pictures.
    void startServices();

protected:
    void closeEvent(QCloseEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;

private:
    void buildPages();
    void buildMenus();
    void buildRunMenu();
    void buildViewMenu();
    void connectPages();
    void connectController();
    void openRunFolder(const QString& folder);
    void chooseRunFolder();
    void openJobFile(const QString& file);
    void chooseJobFile();
    void saveJobFile();
    void resumeRun(const QString& folder);
    void onRunOpened(const std::shared_ptr<const RunDocument>& document);
    void onControllerChanged();
    void onResumeRequested();
    void onCancelRequested();
    /// Folder of the run on screen; empty while there is none.
    QString shownRun() const;
    void showExportDialog();
    /// Shows an export of the run on screen, as its journal now lists it.
    void showExport(const ui::ExportOutcome& outcome);
    /// Fills the New job page with the run on screen, set up for a format that cannot hold it.
    void prepareOwnRun(const ExportOffer& offer);
    void showFailure(const QString& title, const QString& details);
    void showAbout();
    bool askStopJob();

    ui::Theme* m_theme;
    AppSettings m_settings;
    ui::RunState* m_runState;
    ui::JobDraft* m_draft;
    ui::RunListModel* m_runs;
    JobController* m_controller;
    RunLibrary* m_library;
    ui::NavigationRail* m_rail = nullptr;
    QStackedWidget* m_stack = nullptr;
    ui::HomePage* m_homePage = nullptr;
    ui::NewJobPage* m_newJobPage = nullptr;
    ui::RunPage* m_runPage = nullptr;
    QLabel* m_status = nullptr;
    QAction* m_startAction = nullptr;
    QAction* m_pauseAction = nullptr;
    QAction* m_pauseAfterAction = nullptr;
    QAction* m_resumeAction = nullptr;
    QAction* m_cancelAction = nullptr;
    JobSpec m_shownSpec; ///< of the run on screen
    QString m_openedFolder; ///< run that is to be resumed once it has been read
    bool m_resumeWhenOpened = false;
};

} // namespace bitsmith::gui
