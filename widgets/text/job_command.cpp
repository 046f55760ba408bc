// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/text/job_command.h"

#include "widgets/controls/field_values.h"
#include "widgets/text/format_text.h"

#include <QRegularExpression>
#include <QStringList>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

namespace {

QString flagOf(std::string_view key)
{
    return u"--"_s + toQString(key).replace(QLatin1Char('_'), QLatin1Char('-'));
}

/// The calibration's `prefix` would say too little among all flags.
std::string flagKey(const std::string& key, const std::string& prefix)
{
    return key == "prefix" ? "calibration_prefix" : prefix + key;
}

QString joined(const std::vector<std::string>& words)
{
    QStringList list;
    for (const std::string& word : words) {
        list << QString::fromStdString(word);
    }
    return list.join(QLatin1Char(','));
}

class Words
{
public:
    void add(const QString& flag, const QString& value) { m_words << flag << shellQuoted(value); }
    /// Adds every scalar field of `object` that differs from `standard`.
    template <class S>
    void addChanged(const S& object, const S& standard, const std::string& prefix = {})
    {
        const auto fields = describeFields(object);
        const auto values = readFields(object);
        const auto defaults = readFields(standard);
        for (std::size_t i = 0; i < fields.size(); ++i) {
            if (values[i] == defaults[i]) {
                continue;
            }
            const std::string key = flagKey(fields[i].key, prefix);
            if (const auto* flag = std::get_if<bool>(&values[i])) {
                m_words << flagOf(*flag ? key : "no_" + key);
            } else {
                add(flagOf(key), fieldValueText(values[i]));
            }
        }
    }
    QString text() const { return m_words.join(QLatin1Char(' ')); }
    QStringList m_words;
};

bool isNamed(const std::string& recipe)
{
    return recipe != "custom";
}

} // namespace

QString shellQuoted(const QString& word)
{
    static const QRegularExpression plain(u"^[A-Za-z0-9_@%+=:,./-]+$"_s);
    if (plain.match(word).hasMatch()) {
        return word;
    }
    QString inner = word;
    inner.replace(QLatin1Char('\''), u"'\\''"_s);
    return QString(u"'"_s + inner + u"'"_s);
}

QString jobCommand(const JobSpec& spec)
{
    const JobSpec standard;
    Words words;
    words.m_words << u"bitsmith-cli"_s << u"quantize"_s
                  << shellQuoted(QString::fromStdString(spec.model.path));
    words.add(u"--scheme"_s, QString::fromStdString(spec.scheme.scheme));
    SchemeSection schemeRest = spec.scheme;
    schemeRest.scheme = standard.scheme.scheme;
    words.addChanged(schemeRest, standard.scheme);
    for (const Override& rule : spec.scheme.overrides) {
        words.add(u"--override"_s, QString::fromStdString(rule.pattern + "=" + rule.scheme));
    }
    for (const std::string& pattern : spec.scheme.keep) {
        words.add(u"--keep"_s, QString::fromStdString(pattern));
    }
    Recipe base;
    if (isNamed(spec.recipe.name)) {
        base = named_recipe(spec.recipe.name);
        words.add(u"--recipe"_s, QString::fromStdString(spec.recipe.name));
    }
    base.name = spec.recipe.name;
    words.addChanged(spec.recipe, base);
    words.addChanged(spec.calibration, standard.calibration);
    words.add(u"--format"_s, joined(spec.exports.formats));
    words.addChanged(spec.exports, standard.exports);
    if (!spec.evaluation.metrics.empty()) {
        words.add(u"--eval"_s, joined(spec.evaluation.metrics));
        words.addChanged(spec.evaluation, standard.evaluation, "eval_");
    }
    words.addChanged(spec.runtime, standard.runtime);
    return words.text();
}

} // namespace bitsmith::ui
