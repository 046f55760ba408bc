// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/pages/run_page.h"

#include "widgets/controls/bit_map_legend.h"
#include "widgets/controls/bit_map_view.h"
#include "widgets/controls/eval_panel.h"
#include "widgets/controls/log_view.h"
#include "widgets/controls/loss_panel.h"
#include "widgets/models/bit_map_model.h"
#include "widgets/models/layer_table_model.h"
#include "widgets/models/log_model.h"
#include "widgets/state/run_state.h"
#include "widgets/state/selection_hub.h"
#include "widgets/theme/icons.h"
#include "widgets/theme/theme.h"

#include <QComboBox>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSortFilterProxyModel>
#include <QSplitter>
#include <QStackedLayout>
#include <QTabWidget>
#include <QTableView>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

RunPage::RunPage(RunState* state, QWidget* parent)
    : QWidget(parent)
    , m_state(state)
    , m_selection(new SelectionHub(this))
    , m_bitMap(new BitMapModel(state, this))
    , m_stack(new QStackedLayout(this))
    , m_header(new RunHeader(state))
    , m_loss(new LossPanel(state, m_selection))
{
    setObjectName(u"runPage"_s);
    auto* result = new EvalPanel(state);
    connect(result, &EvalPanel::openRequested, this, &RunPage::openPathRequested);
    auto* top = new QSplitter(Qt::Horizontal);
    top->setObjectName(u"runTopSplitter"_s);
    top->setHandleWidth(12);
    top->setChildrenCollapsible(false);
    top->addWidget(buildBitMap());
    top->addWidget(m_loss);
    top->setSizes({560, 560});
    auto* bottom = new QSplitter(Qt::Horizontal);
    bottom->setObjectName(u"runBottomSplitter"_s);
    bottom->setHandleWidth(12);
    bottom->setChildrenCollapsible(false);
    bottom->addWidget(buildTabs());
    bottom->addWidget(result);
    bottom->setSizes({740, 390});
    auto* parts = new QSplitter(Qt::Vertical);
    parts->setObjectName(u"runSplitter"_s);
    parts->setHandleWidth(12);
    parts->setChildrenCollapsible(false);
    parts->addWidget(top);
    parts->addWidget(bottom);
    parts->setSizes({330, 280});
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(16, 16, 16, 16);
    layout->setSpacing(12);
    layout->addWidget(m_header);
    layout->addWidget(parts, 1);
    m_stack->addWidget(buildEmptyPage());
    m_stack->addWidget(page);
    connect(state, &RunState::cleared, m_selection, &SelectionHub::clear);
    connect(state, &RunState::cleared, this, &RunPage::refreshEmpty);
    connect(state, &RunState::headerChanged, this, &RunPage::refreshEmpty);
    connect(state, &RunState::logChanged, this, &RunPage::refreshTabs);
    connect(state, &RunState::planChanged, this, &RunPage::refreshTabs);
    refreshEmpty();
    refreshTabs();
    setFocusProxy(findChild<BitMapView*>());
}

QWidget* RunPage::buildEmptyPage()
{
    auto* page = new QWidget;
    auto* title = new QLabel(tr("No run open"));
    title->setFont(scaledFont(1.5, QFont::DemiBold));
    auto* text =
        mutedLabel(tr("A run shows every loss, layer error and bit while it works. Start a "
                      "job, or open the folder of an earlier run."));
    text->setAlignment(Qt::AlignCenter);
    text->setFixedWidth(fontMetrics().averageCharWidth() * 60);
    auto* newJob = new QPushButton(tr("New job"));
    newJob->setObjectName(u"runEmptyNewJobButton"_s);
    newJob->setProperty("primary", true);
    connect(newJob, &QPushButton::clicked, this, &RunPage::newJobRequested);
    auto* open = new QPushButton(themedIcon(Icon::Folder), tr("Open run…"));
    open->setObjectName(u"runEmptyOpenButton"_s);
    connect(open, &QPushButton::clicked, this, &RunPage::openRunRequested);
    auto* buttons = new QHBoxLayout;
    buttons->addStretch();
    buttons->addWidget(newJob);
    buttons->addWidget(open);
    buttons->addStretch();
    auto* middle = new QHBoxLayout; // aligned by itself, the text would get too little height
    middle->addStretch();
    middle->addWidget(text);
    middle->addStretch();
    auto* layout = new QVBoxLayout(page);
    layout->addStretch(2);
    layout->addWidget(title, 0, Qt::AlignHCenter);
    layout->addLayout(middle);
    layout->addSpacing(12);
    layout->addLayout(buttons);
    layout->addStretch(3);
    return page;
}

Card* RunPage::buildBitMap()
{
    auto* card = new Card(tr("Layers and blocks"));
    card->setObjectName(u"bitMapCard"_s);
    auto* measure = new QComboBox;
    measure->setObjectName(u"bitMapMeasureCombo"_s);
    measure->setAccessibleName(tr("Colour by"));
    for (int i = 0; i < kCellMeasures; ++i) {
        measure->addItem(measureTitle(static_cast<CellMeasure>(i)));
    }
    connect(measure, &QComboBox::currentIndexChanged, m_bitMap,
        [this](int index) { m_bitMap->setMeasure(static_cast<CellMeasure>(index)); });
    auto* label = new QLabel(tr("Colour by"));
    label->setProperty("muted", true);
    label->setBuddy(measure);
    card->header()->addWidget(label);
    card->header()->addWidget(measure);
    auto* view = new BitMapView(m_bitMap, m_selection);
    m_outside = mutedLabel({});
    m_outside->setWordWrap(false);
    m_outside->setFont(scaledFont(0.9));
    m_outside->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
    card->body()->addWidget(view, 1);
    card->body()->addWidget(m_outside);
    card->body()->addWidget(new BitMapLegend(m_bitMap, m_state));
    return card;
}

QWidget* RunPage::buildLayerTable()
{
    auto* proxy = new QSortFilterProxyModel(this);
    proxy->setSourceModel(new LayerTableModel(m_state, this));
    proxy->setSortRole(LayerTableModel::SortRole);
    proxy->setFilterKeyColumn(LayerTableModel::Name);
    proxy->setFilterRole(LayerTableModel::NameRole);
    proxy->setFilterCaseSensitivity(Qt::CaseInsensitive);
    auto* table = makeTable(u"layerTable"_s, tr("Layers"));
    table->setModel(proxy);
    table->setSelectionMode(QAbstractItemView::SingleSelection);
    table->setSortingEnabled(true);
    table->sortByColumn(-1, Qt::AscendingOrder);
    table->horizontalHeader()->setStretchLastSection(true);
    const std::pair<int, QString> widest[] = {{LayerTableModel::Block, u"Block"_s},
        {LayerTableModel::Name, u"self_attn.q_proj"_s},
        {LayerTableModel::SchemeName, u"W4A16G128"_s}, {LayerTableModel::Bits, u"16.00"_s},
        {LayerTableModel::Mse, u"1.23e-05"_s}, {LayerTableModel::Sqnr, u"19.5 dB"_s},
        {LayerTableModel::Cosine, u"0.99999"_s}, {LayerTableModel::OutSqnr, u"Out SQNR"_s},
        {LayerTableModel::Shape, u"1536 × 1536"_s}, {LayerTableModel::Note, u"Why"_s}};
    for (const auto& [column, text] : widest) {
        table->setColumnWidth(column, fontMetrics().horizontalAdvance(text) + 20);
    }
    auto* filter = new QLineEdit;
    filter->setObjectName(u"layerFilterEdit"_s);
    filter->setPlaceholderText(tr("Filter by name, for example down_proj"));
    filter->setAccessibleName(tr("Filter layers"));
    filter->setClearButtonEnabled(true);
    connect(filter, &QLineEdit::textChanged, proxy, &QSortFilterProxyModel::setFilterFixedString);
    connect(table->selectionModel(), &QItemSelectionModel::currentRowChanged, this,
        [this, proxy](const QModelIndex& current) {
            const int row = proxy->mapToSource(current).row();
            if (row >= 0) {
                m_selection->select(
                    m_state->picture().layers[static_cast<std::size_t>(row)].block, row);
            }
        });
    connect(m_selection, &SelectionHub::selectionChanged, table, [proxy, table](int, int layer) {
        const QModelIndex source = proxy->sourceModel()->index(layer, 0);
        const QModelIndex row = proxy->mapFromSource(source);
        if (row.isValid() && row.row() != table->currentIndex().row()) {
            table->selectRow(row.row());
            table->scrollTo(row);
        }
    });
    auto* widget = new QWidget;
    auto* layout = new QVBoxLayout(widget);
    layout->setContentsMargins(0, 8, 0, 0);
    layout->addWidget(filter);
    layout->addWidget(table, 1);
    return widget;
}

Card* RunPage::buildTabs()
{
    auto* card = new Card({});
    card->titleLabel()->hide();
    card->layout()->setContentsMargins(16, 4, 16, 12);
    m_tabs = new QTabWidget;
    m_tabs->setObjectName(u"runTabs"_s);
    m_tabs->setDocumentMode(true);
    m_tabs->addTab(buildLayerTable(), tr("Layers"));
    m_tabs->addTab(new LogView(new LogModel(m_state, this)), tr("Log"));
    card->body()->addWidget(m_tabs, 1);
    return card;
}

void RunPage::refreshEmpty()
{
    m_stack->setCurrentIndex(m_state->picture().phase == RunPhase::Empty ? 0 : 1);
}

void RunPage::refreshTabs()
{
    const auto warnings = static_cast<int>(m_state->picture().warnings);
    m_tabs->setTabText(1, warnings > 0 ? tr("Log (%n warnings)", nullptr, warnings) : tr("Log"));
    const QString outside = m_bitMap->outsideText();
    m_outside->setVisible(!outside.isEmpty());
    m_outside->setText(tr("Outside the blocks: %1").arg(outside));
}

} // namespace bitsmith::ui
