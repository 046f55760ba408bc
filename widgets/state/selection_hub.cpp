// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/state/selection_hub.h"

namespace bitsmith::ui {

SelectionHub::SelectionHub(QObject* parent)
    : QObject(parent)
{ }

void SelectionHub::select(int block, int layer)
{
    if (block == m_block && layer == m_layer) {
        return;
    }
    m_block = block;
    m_layer = layer;
    Q_EMIT selectionChanged(block, layer);
}

} // namespace bitsmith::ui
