// SPDX-License-Identifier: GPL-3.0-or-later
// The one selection: choosing a block or a layer in any view selects it in every view.
#pragma once

#include <QObject>

namespace bitsmith::ui {

class SelectionHub : public QObject
{
    Q_OBJECT

public:
    explicit SelectionHub(QObject* parent = nullptr);

    int block() const { return m_block; } ///< -1: none, views follow the running block
    int layer() const { return m_layer; } ///< index in RunPicture::layers, -1: none

    void select(int block, int layer);
    void clear() { select(-1, -1); }

Q_SIGNALS:
    void selectionChanged(int block, int layer);

private:
    int m_block = -1;
    int m_layer = -1;
};

} // namespace bitsmith::ui
