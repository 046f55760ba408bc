// SPDX-License-Identifier: GPL-3.0-or-later
// A text to read and to copy, in a window of its own.
#pragma once

#include <QDialog>

namespace bitsmith::ui {

class TextDialog : public QDialog
{
    Q_OBJECT

public:
    /// Shown as plain text, whatever it holds. Deletes itself when it is closed.
    TextDialog(const QString& title, const QString& text, QWidget* parent);
};

} // namespace bitsmith::ui
