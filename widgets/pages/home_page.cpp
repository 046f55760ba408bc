// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/pages/home_page.h"

#include "widgets/controls/card.h"
#include "widgets/controls/state_chip.h"
#include "widgets/models/run_list_model.h"
#include "widgets/text/format_text.h"
#include "widgets/text/run_text.h"

#include <QDragEnterEvent>
#include <QLabel>
#include <QListView>
#include <QMimeData>
#include <QPainter>
#include <QPushButton>
#include <QStackedLayout>
#include <QStyledItemDelegate>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

namespace {

/// A run as two lines of text with its state at the right.
class RunDelegate : public QStyledItemDelegate
{
public:
    using QStyledItemDelegate::QStyledItemDelegate;

    QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex&) const override
    {
        return {200, option.fontMetrics.height() * 2 + 24};
    }

    void paint(QPainter* painter, const QStyleOptionViewItem& option,
        const QModelIndex& index) const override
    {
        const auto* model = static_cast<const RunListModel*>(index.model());
        const RunSummary& run = model->run(index.row());
        const QPalette& palette = option.palette;
        painter->save();
        painter->setRenderHint(QPainter::Antialiasing);
        const QRectF box = QRectF(option.rect).adjusted(1, 2, -1, -2);
        const bool selected = option.state.testFlag(QStyle::State_Selected);
        if (selected || option.state.testFlag(QStyle::State_MouseOver)) {
            painter->setPen(Qt::NoPen);
            painter->setBrush(
                tint(palette, roleColor(palette, ColorRole::Accent), selected ? 0.14 : 0.06));
            painter->drawRoundedRect(box, 6, 6);
        }
        const QRect inner = option.rect.adjusted(12, 8, -12, -8);
        const StateLook look = lookOf(run.state);
        const int chip = StateChip(nullptr).sizeHint().width();
        const QRect right(inner.right() - chip - 24, inner.y(), chip + 24, inner.height());
        StateChip::paint(*painter, right, look, palette, option.font);
        const QRect text = inner.adjusted(0, 0, -right.width() - 12, 0);
        paintText(*painter, text, *model, index, option);
        painter->restore();
    }

private:
    static void paintText(QPainter& painter, const QRect& rect, const RunListModel& model,
        const QModelIndex& index, const QStyleOptionViewItem& option)
    {
        const RunSummary& run = model.run(index.row());
        QFont bold = option.font;
        bold.setWeight(QFont::DemiBold);
        painter.setFont(bold);
        painter.setPen(option.palette.color(QPalette::WindowText));
        const QRect first(rect.x(), rect.y(), rect.width(), rect.height() / 2);
        painter.drawText(first, Qt::AlignVCenter | Qt::AlignLeft,
            QFontMetrics(bold).elidedText(index.data().toString(), Qt::ElideMiddle, rect.width()));
        painter.setFont(option.font);
        painter.setPen(roleColor(option.palette, ColorRole::Muted));
        const QRect second(rect.x(), first.bottom() + 1, rect.width(), rect.height() / 2);
        QString line = jobLine(toQString(run.scheme), toQString(run.recipe), {});
        line = jobLine(line, model.progressText(index.row()), model.ageText(index.row()));
        painter.drawText(second, Qt::AlignVCenter | Qt::AlignLeft,
            option.fontMetrics.elidedText(line, Qt::ElideRight, rect.width()));
    }
};

QPushButton* startButton(const QString& name, Icon icon, const QString& text, bool primary)
{
    auto* button = new QPushButton(
        primary ? coloredIcon(icon, Qt::white) : themedIcon(icon), QString(u" "_s + text));
    button->setObjectName(name);
    button->setProperty("primary", primary);
    button->setMinimumHeight(button->fontMetrics().height() + 20);
    return button;
}

} // namespace

HomePage::HomePage(RunListModel* runs, QWidget* parent)
    : QWidget(parent)
    , m_runs(runs)
    , m_list(new QListView)
{
    setObjectName(u"homePage"_s);
    setAcceptDrops(true);
    auto* columns = new QHBoxLayout;
    columns->setSpacing(16);
    columns->addWidget(buildStart(), 2, Qt::AlignTop);
    columns->addWidget(buildRuns(), 3);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(32, 28, 32, 24);
    layout->setSpacing(20);
    layout->addWidget(buildIntro());
    layout->addLayout(columns, 1);
    setFocusProxy(m_list);
    connect(runs, &QAbstractItemModel::modelReset, this, &HomePage::refresh);
    refresh();
}

QWidget* HomePage::buildIntro()
{
    auto* intro = new QWidget;
    auto* title = new QLabel(tr("Make language models smaller, and see what it costs"));
    title->setFont(scaledFont(1.9, QFont::DemiBold));
    title->setWordWrap(true);
    auto* text = mutedLabel(
        tr("Bitsmith quantizes a language model on this computer by tuning the rounding of its "
           "weights block by block. It shows every loss and error while it works, checks the files "
           "it writes, and measures how far the result is from the original."));
    text->setFont(scaledFont(1.05));
    auto* layout = new QVBoxLayout(intro);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(8);
    layout->addWidget(title);
    layout->addWidget(text);
    return intro;
}

Card* HomePage::buildStart()
{
    auto* card = new Card(tr("Start"));
    auto* demo = startButton(u"startDemoButton"_s, Icon::Play, tr("Start demo"), true);
    auto* newJob = startButton(u"homeNewJobButton"_s, Icon::NewJob, tr("New job…"), false);
    auto* open = startButton(u"homeOpenRunButton"_s, Icon::Folder, tr("Open run…"), false);
    connect(demo, &QPushButton::clicked, this, &HomePage::demoRequested);
    connect(newJob, &QPushButton::clicked, this, &HomePage::newJobRequested);
    connect(open, &QPushButton::clicked, this, &HomePage::openRunRequested);
    card->body()->addWidget(demo);
    card->body()->addWidget(
        mutedLabel(tr("Quantizes a small language model to 4 bits in a few minutes, on the CPU.")));
    card->body()->addSpacing(8);
    card->body()->addWidget(newJob);
    card->body()->addWidget(
        mutedLabel(tr("Choose a model, a number format and how hard to tune.")));
    card->body()->addSpacing(8);
    card->body()->addWidget(open);
    card->body()->addWidget(
        mutedLabel(tr("Look at an earlier run, or continue one that stopped.")));
    card->body()->addSpacing(4);
    card->body()->addWidget(
        mutedLabel(tr("A model folder, a .gguf file, a run folder or a job file can also be "
                      "dropped here.")));
    return card;
}

Card* HomePage::buildRuns()
{
    auto* card = new Card(tr("Recent runs"));
    m_list->setObjectName(u"recentRunsList"_s);
    m_list->setAccessibleName(tr("Recent runs"));
    m_list->setFrameShape(QFrame::NoFrame);
    m_list->setModel(m_runs);
    m_list->setItemDelegate(new RunDelegate(m_list));
    m_list->setMouseTracking(true);
    m_list->setUniformItemSizes(true);
    m_list->setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
    auto* empty = mutedLabel(
        tr("No run yet. Start the demo to see one: it needs no settings and takes a few minutes."));
    empty->setAlignment(Qt::AlignCenter);
    m_listStack = new QStackedLayout;
    m_listStack->addWidget(empty);
    m_listStack->addWidget(m_list);
    m_open = new QPushButton(tr("Open"));
    m_open->setObjectName(u"openSelectedRunButton"_s);
    m_resume = new QPushButton(themedIcon(Icon::Play), tr("Resume"));
    m_resume->setObjectName(u"resumeSelectedRunButton"_s);
    auto* buttons = new QHBoxLayout;
    buttons->addStretch();
    buttons->addWidget(m_resume);
    buttons->addWidget(m_open);
    card->body()->addLayout(m_listStack, 1);
    card->body()->addLayout(buttons);
    connect(m_list, &QListView::activated, this, &HomePage::openCurrent);
    connect(m_open, &QPushButton::clicked, this, &HomePage::openCurrent);
    connect(m_resume, &QPushButton::clicked, this, [this] {
        Q_EMIT resumeRequested(m_list->currentIndex().data(RunListModel::FolderRole).toString());
    });
    connect(m_list->selectionModel(), &QItemSelectionModel::currentChanged, this,
        [this] { refresh(); });
    return card;
}

void HomePage::refresh()
{
    m_listStack->setCurrentIndex(m_runs->rowCount() == 0 ? 0 : 1);
    const QModelIndex current = m_list->currentIndex();
    const bool chosen = current.isValid() && current.row() < m_runs->rowCount();
    m_open->setEnabled(chosen);
    m_open->setVisible(m_runs->rowCount() > 0);
    m_resume->setVisible(chosen && RunListModel::canResume(m_runs->run(current.row())));
}

void HomePage::openCurrent()
{
    const QModelIndex current = m_list->currentIndex();
    if (current.isValid()) {
        Q_EMIT runChosen(current.data(RunListModel::FolderRole).toString());
    }
}

void HomePage::dragEnterEvent(QDragEnterEvent* event)
{
    if (event->mimeData()->hasUrls()) {
        event->acceptProposedAction();
    }
}

void HomePage::dropEvent(QDropEvent* event)
{
    const QList<QUrl> urls = event->mimeData()->urls();
    if (!urls.isEmpty() && urls.first().isLocalFile()) {
        Q_EMIT pathDropped(urls.first().toLocalFile());
    }
}

} // namespace bitsmith::ui
