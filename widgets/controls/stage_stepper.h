// SPDX-License-Identifier: GPL-3.0-or-later
// The stages of a job in order, each with its own state.
#pragma once

#include "widgets/state/run_picture.h"

#include <QWidget>

namespace bitsmith::ui {

class StageStepper : public QWidget
{
    Q_OBJECT

public:
    explicit StageStepper(QWidget* parent = nullptr);

    void setStages(const std::array<StagePicture, RunPicture::kStages>& stages);
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    int stepWidth(int index) const;
    void paintStep(QPainter& painter, int index, int x) const;

    std::array<StagePicture, RunPicture::kStages> m_stages;
};

} // namespace bitsmith::ui
