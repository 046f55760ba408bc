// SPDX-License-Identifier: GPL-3.0-or-later
// Line icons drawn by the program: they take the palette's text colour in every theme and are sharp
// at every scale, without an image plug-in.
#pragma once

#include <QColor>
#include <QIcon>

class QPainter;
class QRectF;

namespace bitsmith::ui {

enum class Icon
{
    Home,
    NewJob,
    Run,
    Play,
    Pause,
    Stop,
    Folder,
    Check,
    Warning,
    Error,
    Info,
    Copy,
    Reset,
    Clock,
    Add,
    Remove
};

/// Icon in the text colour of the application's palette, muted when disabled.
QIcon themedIcon(Icon icon);
/// Icon in one fixed colour, for example of a severity.
QIcon coloredIcon(Icon icon, const QColor& color);
/// Draws `icon` into `rect` with `color`.
void paintIcon(QPainter& painter, Icon icon, const QRectF& rect, const QColor& color);

} // namespace bitsmith::ui
