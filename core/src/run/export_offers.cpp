// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text.h"
#include "export/gguf/gguf_exporter.h"
#include "export/marker.h"
#include "export/model_card.h"
#include "export/runtime_limits.h"
#include "export/serve_table.h"
#include "run/finished_run.h"
#include "run/own_run.h"
#include "values/fields_json.h"

#include <bitsmith/export_offer.h>

#include <algorithm>
#include <tuple>

namespace bitsmith {

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, ExportOffer>
void visit_fields(Visitor& v, Self& o)
{
    v("format", o.format, any_value(), "");
    v("name", o.name, any_value(), "");
    v("fits", o.fits, any_value(), "");
    v("why_not", o.why_not, any_value(), "");
    v("bytes", o.bytes, any_value(), "");
    v("bits_per_parameter", o.bits_per_parameter, any_value(), "");
    v("runtimes", o.runtimes, any_value(), "");
    v("own_scheme", o.own_scheme, any_value(), "");
}

namespace {

ExportOffer offer_of(const exporting::Exporter& exporter, const exporting::ExportInput& input)
{
    const FormatInfo info = exporter.info();
    ExportOffer offer{info.id, info.title, false, {}, 0, 0, info.runtimes};
    const Fit fit = fit_of(exporter, input);
    if (!fit.why_not.empty()) {
        offer.why_not = fit.why_not;
        offer.own_scheme = own_scheme(exporter, input);
        return offer;
    }
    offer.fits = true;
    offer.runtimes = exporting::loading_runtimes(exporter, input.plan);
    offer.bytes = fit.bytes;
    const int64_t parameters = std::max<int64_t>(input.model.info.parameters, 1);
    offer.bits_per_parameter =
        8 * static_cast<double>(offer.bytes) / static_cast<double>(parameters);
    return offer;
}

} // namespace

std::vector<ExportOffer> export_offers(const std::filesystem::path& run)
{
    const FinishedRun finished = open_finished_run(run);
    const exporting::ExportInput input = finished.input();
    std::vector<ExportOffer> offers;
    for (const exporting::Exporter* exporter : exporting::exporters()) {
        offers.push_back(offer_of(*exporter, input));
    }
    std::stable_sort(offers.begin(), offers.end(), [](const ExportOffer& a, const ExportOffer& b) {
        return std::tuple(!a.fits, a.bytes) < std::tuple(!b.fits, b.bytes);
    });
    return offers;
}

std::string document(const std::vector<ExportOffer>& offers)
{
    Json json = Json::object();
    json["offers"] = value_to_json(offers);
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

ExportFacts export_facts(const std::filesystem::path& run)
{
    const FinishedRun finished = open_finished_run(run);
    const ModelInfo& model = finished.model->info;
    return {exporting::stated_details(*finished.model, finished.spec.exports), model.tokenizer,
        model.has_chat_template};
}

std::vector<ServeText> serve_texts(const std::string& format, const std::filesystem::path& exported)
{
    FormatInfo info = exporting::exporter_for(format).info();
    info.runtimes = exporting::marked_runtimes(exported).value_or(info.runtimes);
    std::vector<ServeText> texts;
    for (const exporting::ServeRow& row : exporting::serve_rows(info)) {
        if (row.kind != ServeKind::Modelfile || !exporting::is_split_gguf(exported)) {
            texts.push_back(
                {std::string(row.runtime), row.kind, exporting::serve_text(row, exported)});
        }
    }
    return texts;
}

std::string serve_command(const std::string& format, const std::filesystem::path& exported)
{
    for (const ServeText& text : serve_texts(format, exported)) {
        if (text.kind == ServeKind::Command) {
            return text.text;
        }
    }
    return {};
}

std::string upload_command(const std::filesystem::path& exported)
{
    const std::string name = exporting::shell_word("ACCOUNT/" + exported.filename().string());
    return concat("hf upload ", name, " ", exporting::shell_word(exported.string()));
}

} // namespace bitsmith
