// SPDX-License-Identifier: GPL-3.0-or-later
// The bit map: a table view whose cells share the space, with a sparse block header.
#pragma once

#include <QTableView>

namespace bitsmith::ui {

class BitMapModel;
class SelectionHub;

class BitMapView : public QTableView
{
    Q_OBJECT

public:
    BitMapView(BitMapModel* model, SelectionHub* selection, QWidget* parent = nullptr);

protected:
    void resizeEvent(QResizeEvent* event) override;
    void paintEvent(QPaintEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;

private:
    void fitCells();
    void onCurrentChanged(const QModelIndex& current);
    void onSelectionChanged(int block, int layer);

    BitMapModel* m_model;
    SelectionHub* m_selection;
};

} // namespace bitsmith::ui
