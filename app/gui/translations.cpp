// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/translations.h"

#include <QApplication>
#include <QLocale>
#include <QTranslator>

using namespace Qt::StringLiterals;

namespace bitsmith::gui {

void installTranslations(QApplication& application)
{
    auto* texts = new QTranslator(&application);
    if (texts->load(QLocale(), u"bitsmith"_s, u"_"_s, u":/i18n"_s)
        || texts->load(u":/i18n/bitsmith_en.qm"_s)) {
        QApplication::installTranslator(texts);
    }
}

} // namespace bitsmith::gui
