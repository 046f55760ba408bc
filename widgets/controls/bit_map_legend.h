// SPDX-License-Identifier: GPL-3.0-or-later
// What the colours of the bit map mean: a swatch and a count for each number of bits, or the ends of
// the scale.
#pragma once

#include <QWidget>

#include <vector>

namespace bitsmith::ui {

class BitMapModel;
class RunState;

class BitMapLegend : public QWidget
{
    Q_OBJECT

public:
    BitMapLegend(BitMapModel* model, RunState* state, QWidget* parent = nullptr);

    QSize sizeHint() const override;
    QSize minimumSizeHint() const override { return {0, sizeHint().height()}; }

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    struct Entry
    {
        double bits;
        QString text;
    };

    void refresh();
    void paintEntries(QPainter& painter) const;
    void paintScale(QPainter& painter) const;

    BitMapModel* m_model;
    RunState* m_state;
    std::vector<Entry> m_entries;
};

} // namespace bitsmith::ui
