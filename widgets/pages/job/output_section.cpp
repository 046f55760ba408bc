// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/pages/job/output_section.h"

#include "widgets/controls/format_list.h"
#include "widgets/controls/path_edit.h"
#include "widgets/text/format_text.h"

#include <bitsmith/catalog.h>

#include <QCheckBox>
#include <QLabel>
#include <QSignalBlocker>
#include <QVBoxLayout>

#include <algorithm>

namespace bitsmith::ui {

namespace {

/// The catalogue's text is a whole sentence; it becomes the tooltip.
QString metricTitle(const NamedItem& item)
{
    if (item.id == "kld") {
        return OutputSection::tr("KL divergence to the original, and agreement of the next token");
    }
    return item.id == "ppl" ? OutputSection::tr("Perplexity of both models")
                            : toQString(item.title);
}

/// Fields shown as rows; the text has an editor of its own.
template <class List>
List withoutText(List list)
{
    list.erase(list.begin());
    return list;
}

} // namespace

OutputSection::OutputSection(JobDraft* draft)
    : JobSection(draft, tr("Output and evaluation"), "exports")
    , m_formats(new FormatList)
    , m_output(new PathEdit(PathEdit::Kind::Folder, QStringLiteral("outputPath")))
    , m_text(new PathEdit(PathEdit::Kind::File, QStringLiteral("evalText")))
    , m_evaluation(new OptionForm(
          QStringLiteral("evaluation_"), withoutText(describeFields(EvaluationSection())), 2))
{
    m_output->setPlaceholder(tr("Output folder; empty: beside the run"));
    m_output->setAccessibleLabel(tr("Output folder"));
    m_text->setPlaceholder(tr("Text to measure on; empty: held-out calibration text"));
    m_text->setAccessibleLabel(tr("Text to measure on"));
    body()->addWidget(m_formats);
    body()->addWidget(m_output);
    body()->addSpacing(4);
    body()->addWidget(buildMeasures());
    body()->addWidget(m_text);
    body()->addWidget(m_evaluation);
    connect(
        m_formats, &FormatList::formatsEdited, this, [this](const std::vector<std::string>& ids) {
            this->draft()->edit([&ids](JobSpec& spec) { spec.exports.formats = ids; });
        });
    connect(m_output, &PathEdit::pathChanged, this, [this](const QString& path) {
        this->draft()->edit([&path](JobSpec& spec) { spec.exports.output = path.toStdString(); });
    });
    connect(m_text, &PathEdit::pathChanged, this, [this](const QString& path) {
        this->draft()->edit([&path](JobSpec& spec) { spec.evaluation.text = path.toStdString(); });
    });
    connect(m_evaluation, &OptionForm::valueEdited, this,
        [this](const std::string& key, const FieldValue& value) {
            this->draft()->edit([&](JobSpec& spec) { writeField(spec.evaluation, key, value); });
        });
    startRefreshing();
}

QWidget* OutputSection::buildMeasures()
{
    auto* row = new QWidget;
    auto* layout = new QVBoxLayout(row);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(2);
    layout->addWidget(mutedLabel(tr("Measured afterwards")));
    for (const NamedItem& item : metric_catalog()) {
        auto* box = new QCheckBox(metricTitle(item));
        box->setToolTip(toQString(item.title));
        box->setObjectName(QString(QLatin1String("metric_") + toQString(item.id)));
        layout->addWidget(box);
        m_metrics.emplace_back(item.id, box);
        connect(box, &QCheckBox::toggled, this, [this] {
            std::vector<std::string> ids;
            for (const auto& [id, metric] : m_metrics) {
                if (metric->isChecked()) {
                    ids.push_back(id);
                }
            }
            draft()->edit([&ids](JobSpec& spec) { spec.evaluation.metrics = ids; });
        });
    }
    return row;
}

void OutputSection::refresh()
{
    const JobSpec& spec = draft()->spec();
    m_formats->setFormats(spec.exports.formats);
    try {
        const Scheme scheme = resolve_scheme(spec.scheme);
        m_formats->setScheme(&scheme);
    } catch (const Error&) {
        // The list of issues names the scheme that cannot be read.
        m_formats->setScheme(nullptr);
    }
    if (m_output->path() != toQString(spec.exports.output)) {
        m_output->setPath(toQString(spec.exports.output));
    }
    if (m_text->path() != toQString(spec.evaluation.text)) {
        m_text->setPath(toQString(spec.evaluation.text));
    }
    const auto& chosen = spec.evaluation.metrics;
    for (const auto& [id, box] : m_metrics) {
        const QSignalBlocker blocker(box);
        box->setChecked(std::find(chosen.begin(), chosen.end(), id) != chosen.end());
    }
    m_text->setEnabled(!chosen.empty());
    m_evaluation->setEnabled(!chosen.empty());
    m_evaluation->setValues(
        withoutText(readFields(spec.evaluation)), withoutText(readFields(EvaluationSection())));
}

} // namespace bitsmith::ui
