// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/theme/icons.h"

#include "widgets/theme/theme.h"

#include <QGuiApplication>
#include <QIconEngine>
#include <QPainter>
#include <QPainterPath>
#include <QPixmap>

#include <optional>

namespace bitsmith::ui {

namespace {

/// Shapes on a 16 x 16 grid; `fill` shapes are solid, others are strokes.
struct Shape
{
    QPainterPath path;
    bool fill = false;
};

QPainterPath polyline(std::initializer_list<QPointF> points, bool close = false)
{
    QPainterPath path;
    bool first = true;
    for (const QPointF& point : points) {
        first ? path.moveTo(point) : path.lineTo(point);
        first = false;
    }
    if (close) {
        path.closeSubpath();
    }
    return path;
}

QPainterPath circle(double radius)
{
    QPainterPath path;
    path.addEllipse(QPointF(8, 8), radius, radius);
    return path;
}

QPainterPath exclamation(double top)
{
    QPainterPath path = polyline({{8, top}, {8, top + 4}});
    path.addEllipse(QPointF(8, top + 6.2), 0.35, 0.35);
    return path;
}

Shape shapeOf(Icon icon)
{
    QPainterPath path;
    switch (icon) {
    case Icon::Home:
        path = polyline({{2.5, 8}, {8, 2.8}, {13.5, 8}});
        path.addPath(polyline({{4, 7}, {4, 13}, {12, 13}, {12, 7}}));
        return {path};
    case Icon::NewJob:
        path.addRoundedRect(QRectF(3, 2.5, 10, 11), 1.5, 1.5);
        path.addPath(polyline({{8, 5.5}, {8, 10.5}}));
        path.addPath(polyline({{5.5, 8}, {10.5, 8}}));
        return {path};
    case Icon::Run:
        path = polyline({{2.5, 3}, {2.5, 13.2}, {13.5, 13.2}});
        path.addPath(polyline({{4.5, 5}, {6.5, 9}, {9, 10.3}, {13, 10.8}}));
        return {path};
    case Icon::Play:
        return {polyline({{5, 3.5}, {12.5, 8}, {5, 12.5}}, true), true};
    case Icon::Pause:
        path.addRect(QRectF(4.5, 3.5, 2.4, 9));
        path.addRect(QRectF(9.1, 3.5, 2.4, 9));
        return {path, true};
    case Icon::Stop:
        path.addRoundedRect(QRectF(4, 4, 8, 8), 1, 1);
        return {path, true};
    case Icon::Folder:
        return {
            polyline({{2.5, 12.5}, {2.5, 4}, {6.5, 4}, {8, 5.8}, {13.5, 5.8}, {13.5, 12.5}}, true)};
    case Icon::Check:
        return {polyline({{3.5, 8.5}, {6.7, 11.5}, {12.5, 4.8}})};
    case Icon::Warning:
        path = polyline({{8, 2.5}, {14, 13}, {2, 13}}, true);
        path.addPath(exclamation(6));
        return {path};
    case Icon::Error:
        path = circle(5.8);
        path.addPath(exclamation(4.8));
        return {path};
    case Icon::Info:
        path = circle(5.8);
        path.addPath(polyline({{8, 7.5}, {8, 11}}));
        path.addEllipse(QPointF(8, 5.2), 0.35, 0.35);
        return {path};
    case Icon::Copy:
        path.addRoundedRect(QRectF(5.5, 5.5, 8, 8), 1.2, 1.2);
        path.addPath(polyline({{3, 10.5}, {2.5, 10.5}, {2.5, 2.5}, {10.5, 2.5}, {10.5, 3}}));
        return {path};
    case Icon::Reset:
        path.arcMoveTo(QRectF(3, 3, 10, 10), 140);
        path.arcTo(QRectF(3, 3, 10, 10), 140, -280);
        path.addPath(polyline({{3.2, 1.8}, {3.9, 5}, {7.1, 4.4}}));
        return {path};
    case Icon::Clock:
        path = circle(5.8);
        path.addPath(polyline({{8, 4.5}, {8, 8}, {10.5, 9.5}}));
        return {path};
    case Icon::Add:
        path = polyline({{8, 3.5}, {8, 12.5}});
        path.addPath(polyline({{3.5, 8}, {12.5, 8}}));
        return {path};
    case Icon::Remove:
        return {polyline({{3.5, 8}, {12.5, 8}})};
    }
    return {path};
}

class LineIconEngine : public QIconEngine
{
public:
    LineIconEngine(Icon icon, std::optional<QColor> color)
        : m_icon(icon)
        , m_color(color)
    { }

    void paint(QPainter* painter, const QRect& rect, QIcon::Mode mode, QIcon::State) override
    {
        const QPalette palette = QGuiApplication::palette();
        QColor color = m_color.value_or(palette.color(QPalette::WindowText));
        if (mode == QIcon::Disabled) {
            color = roleColor(palette, ColorRole::Faint);
        }
        paintIcon(*painter, m_icon, rect, color);
    }
    QPixmap pixmap(const QSize& size, QIcon::Mode mode, QIcon::State state) override
    {
        QPixmap pixmap(size);
        pixmap.fill(Qt::transparent);
        QPainter painter(&pixmap);
        paint(&painter, QRect(QPoint(0, 0), size), mode, state);
        return pixmap;
    }
    QIconEngine* clone() const override { return new LineIconEngine(m_icon, m_color); }

private:
    Icon m_icon;
    std::optional<QColor> m_color;
};

} // namespace

QIcon themedIcon(Icon icon)
{
    return QIcon(new LineIconEngine(icon, std::nullopt));
}

QIcon coloredIcon(Icon icon, const QColor& color)
{
    return QIcon(new LineIconEngine(icon, color));
}

void paintIcon(QPainter& painter, Icon icon, const QRectF& rect, const QColor& color)
{
    const double side = std::min(rect.width(), rect.height());
    const Shape shape = shapeOf(icon);
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing);
    painter.translate(rect.center() - QPointF(side / 2, side / 2));
    painter.scale(side / 16, side / 16);
    if (shape.fill) {
        painter.fillPath(shape.path, color);
    } else {
        painter.strokePath(
            shape.path, QPen(color, 1.4, Qt::SolidLine, Qt::RoundCap, Qt::RoundJoin));
    }
    painter.restore();
}

} // namespace bitsmith::ui
