// SPDX-License-Identifier: GPL-3.0-or-later
// A titled surface that groups related things; pages are made of cards.
#pragma once

#include <QFrame>

class QHBoxLayout;
class QLabel;
class QVBoxLayout;

namespace bitsmith::ui {

class Card : public QFrame
{
    Q_OBJECT

public:
    explicit Card(const QString& title, QWidget* parent = nullptr);

    /// Place for small controls at the right of the title.
    QHBoxLayout* header() { return m_header; }
    QVBoxLayout* body() { return m_body; }
    QLabel* titleLabel() { return m_title; }

private:
    QLabel* m_title;
    QHBoxLayout* m_header;
    QVBoxLayout* m_body;
};

/// Label in the secondary text colour; wraps.
QLabel* mutedLabel(const QString& text, QWidget* parent = nullptr);

} // namespace bitsmith::ui
