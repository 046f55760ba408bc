// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text.h"
#include "export/gguf/gguf_exporter.h"
#include "run/finished_run.h"
#include "run/own_run.h"
#include "values/fields_json.h"

#include <bitsmith/export_offer.h>

#include <algorithm>
#include <cctype>
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
    offer.bytes = fit.bytes;
    const int64_t parameters = std::max<int64_t>(input.model.info.parameters, 1);
    offer.bits_per_parameter =
        8 * static_cast<double>(offer.bytes) / static_cast<double>(parameters);
    return offer;
}

/// One word of a POSIX shell.
std::string shell_word(const std::string& text)
{
    const auto is_plain = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0
            || std::string_view("/._-+=:,@%").find(c) != std::string_view::npos;
    };
    if (!text.empty() && std::all_of(text.begin(), text.end(), is_plain)) {
        return text;
    }
    std::string quoted = "'";
    for (const char c : text) {
        quoted += c == '\'' ? "'\\''" : std::string(1, c);
    }
    return quoted + "'";
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

std::string serve_command(const std::string& format, const std::filesystem::path& exported)
{
    std::string command = exporting::exporter_for(format).info().serve;
    for (const std::string_view place : {"{path}", "{file}"}) {
        const std::size_t at = command.find(place);
        if (at != std::string::npos) {
            const std::filesystem::path named =
                place == "{file}" ? exporting::gguf_file_in(exported) : exported;
            command.replace(at, place.size(), shell_word(named.string()));
        }
    }
    return command;
}

std::string upload_command(const std::filesystem::path& exported)
{
    const std::string name = shell_word("ACCOUNT/" + exported.filename().string());
    return concat("hf upload ", name, " ", shell_word(exported.string()));
}

} // namespace bitsmith
