// SPDX-License-Identifier: GPL-3.0-or-later
// Number formats of the catalogue, grouped, each with its bits per weight.
#pragma once

#include <QComboBox>

namespace bitsmith::ui {

class SchemeCombo : public QComboBox
{
    Q_OBJECT

public:
    explicit SchemeCombo(QWidget* parent = nullptr);

    /// A name outside the catalogue is shown as an entry of its own. Emits nothing.
    void setScheme(const QString& name);
    QString scheme() const;

Q_SIGNALS:
    void schemeEdited(const QString& name);
};

} // namespace bitsmith::ui
