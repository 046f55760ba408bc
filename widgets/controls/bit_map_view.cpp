// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/bit_map_view.h"

#include "widgets/controls/bit_map_delegate.h"
#include "widgets/models/bit_map_model.h"
#include "widgets/state/selection_hub.h"
#include "widgets/theme/theme.h"

#include <QHeaderView>
#include <QItemSelectionModel>
#include <QKeyEvent>
#include <QPainter>

namespace bitsmith::ui {

namespace {

/// Numbers only as many columns as their text leaves readable.
class BlockHeader : public QHeaderView
{
public:
    explicit BlockHeader(QWidget* parent)
        : QHeaderView(Qt::Horizontal, parent)
    {
        setSectionsClickable(true);
        setSectionResizeMode(QHeaderView::Fixed);
    }

protected:
    void paintSection(QPainter* painter, const QRect& rect, int section) const override
    {
        const int width = std::max(1, sectionSize(section));
        const int needed = fontMetrics().horizontalAdvance(QStringLiteral("000")) + 4;
        int every = 1;
        for (const int step : {1, 2, 5, 10, 20, 50, 100}) {
            every = step;
            if (step * width >= needed) {
                break;
            }
        }
        if (section % every != 0) {
            return;
        }
        painter->setPen(roleColor(palette(), ColorRole::Muted));
        const QRect wide = rect.adjusted(-needed, 0, needed, 0);
        painter->drawText(wide, Qt::AlignCenter, QString::number(section));
    }
};

constexpr int kLargestCell = 34;

} // namespace

BitMapView::BitMapView(BitMapModel* model, SelectionHub* selection, QWidget* parent)
    : QTableView(parent)
    , m_model(model)
    , m_selection(selection)
{
    setObjectName(QStringLiteral("bitMapView"));
    setAccessibleName(tr("Map of layers and blocks"));
    setHorizontalHeader(new BlockHeader(this));
    setModel(model);
    setItemDelegate(new BitMapDelegate(this));
    setShowGrid(false);
    setCornerButtonEnabled(false);
    setSelectionMode(QAbstractItemView::SingleSelection);
    setFrameShape(QFrame::NoFrame);
    setHorizontalScrollMode(QAbstractItemView::ScrollPerPixel);
    setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
    horizontalHeader()->setMinimumSectionSize(6);
    verticalHeader()->setMinimumSectionSize(12);
    verticalHeader()->setSectionResizeMode(QHeaderView::Fixed);
    verticalHeader()->setDefaultAlignment(Qt::AlignRight | Qt::AlignVCenter);
    setTabKeyNavigation(false);
    connect(model, &QAbstractItemModel::modelReset, this, &BitMapView::fitCells);
    connect(selectionModel(), &QItemSelectionModel::currentChanged, this,
        [this](const QModelIndex& current) { onCurrentChanged(current); });
    connect(selection, &SelectionHub::selectionChanged, this, &BitMapView::onSelectionChanged);
}

void BitMapView::fitCells()
{
    const int columns = m_model->columnCount();
    const int rows = m_model->rowCount();
    if (columns == 0 || rows == 0) {
        return;
    }
    const int largest = std::max(kLargestCell, fontMetrics().height() * 2);
    const int width = std::clamp(viewport()->width() / columns, 8, largest);
    const int height = std::clamp(viewport()->height() / rows, fontMetrics().height() + 2, largest);
    horizontalHeader()->setDefaultSectionSize(width);
    verticalHeader()->setDefaultSectionSize(height);
}

void BitMapView::resizeEvent(QResizeEvent* event)
{
    QTableView::resizeEvent(event);
    fitCells();
}

void BitMapView::paintEvent(QPaintEvent* event)
{
    QTableView::paintEvent(event);
    if (m_model->rowCount() == 0) {
        QPainter painter(viewport());
        painter.setPen(roleColor(palette(), ColorRole::Muted));
        painter.drawText(viewport()->rect().adjusted(16, 16, -16, -16),
            Qt::AlignCenter | Qt::TextWordWrap,
            tr("Layers appear here once the job has planned them."));
    }
}

void BitMapView::keyPressEvent(QKeyEvent* event)
{
    if (event->key() == Qt::Key_Escape) {
        clearSelection();
        setCurrentIndex({});
        m_selection->clear();
        return;
    }
    QTableView::keyPressEvent(event);
}

void BitMapView::focusInEvent(QFocusEvent* event)
{
    // The item view would make the first cell current: a selection that nobody made, and the loss
    // view would stop following the running block.
    QAbstractScrollArea::focusInEvent(event);
    viewport()->update();
}

void BitMapView::onCurrentChanged(const QModelIndex& current)
{
    if (current.isValid() && current.data(BitMapModel::PresentRole).toBool()) {
        m_selection->select(current.column(), current.data(BitMapModel::LayerRole).toInt());
    }
}

void BitMapView::onSelectionChanged(int, int layer)
{
    const QModelIndex index = m_model->indexOfLayer(layer);
    if (!index.isValid()) {
        clearSelection();
    } else if (index != currentIndex()) {
        setCurrentIndex(index);
    }
}

} // namespace bitsmith::ui
