// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/model_card.h"

#include "base/json_io.h"
#include "base/text.h"
#include "export/config_writer.h"
#include "export/runtime_limits.h"
#include "hf/hub.h"
#include "source/hub_snapshot.h"

#include <bitsmith/version.h>

#include <algorithm>
#include <cctype>
#include <map>

namespace bitsmith::exporting {

namespace {

std::string layer_summary(const Plan& plan)
{
    std::map<std::string, int64_t> counts;
    for (const PlannedLayer& layer : plan.layers) {
        ++counts[layer.scheme.is_quantized() ? scheme_name(layer.scheme) : "kept as they are"];
    }
    std::string text;
    for (const auto& [name, count] : counts) {
        text += concat("| ", name, " | ", count, " |\n");
    }
    return text;
}

/// Empty when nothing was measured.
std::string measured_table(const EvalReport& report)
{
    const auto row = [](const char* measure, const std::optional<double>& value) {
        return value ? concat("| ", measure, " | ", *value, " |\n") : std::string();
    };
    const std::string rows = concat(row("perplexity", report.ppl),
        row("perplexity of the original", report.ppl_reference),
        row("KL divergence from the original, mean, nats per token", report.kld_mean),
        row("KL divergence, 99th percentile", report.kld_p99),
        row("share of tokens with the same most likely next token", report.top1_agreement));
    return rows.empty() ? rows
                        : concat("Measured on ", report.tokens, " tokens:\n\n",
                            "| measure | value |\n|---|---|\n", rows, "\n");
}

/// A text of YAML's front matter. JSON's strings are YAML's too.
std::string yaml_text(const std::string& text)
{
    const auto is_plain = [](unsigned char c) {
        return std::isalnum(c) != 0 || std::string_view("._-/").find(c) != std::string_view::npos;
    };
    const bool plain = std::isalpha(static_cast<unsigned char>(text.front())) != 0
        && std::all_of(text.begin(), text.end(), is_plain);
    return plain ? text : Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string unquoted(const std::string& word)
{
    const bool quoted = word.size() > 1 && word.front() == word.back()
        && (word.front() == '"' || word.front() == '\'');
    return quoted ? word.substr(1, word.size() - 2) : word;
}

std::string front_matter(
    const ExportDetails& details, const std::string& library, std::string_view format)
{
    std::string text = "---\n";
    text += details.license.empty() ? "" : concat("license: ", yaml_text(details.license), "\n");
    // The Hub lists the export under the model that it names.
    text +=
        is_hub_id(details.source) ? concat("base_model: ", yaml_text(details.source), "\n") : "";
    return concat(text, "library_name: ", library, "\ntags:\n- quantized\n- ", format, "\n---\n\n");
}

/// Who made the model, and where it is; empty when neither is known.
std::string origin(const ExportDetails& details)
{
    std::string text;
    text += details.author.empty() ? "" : concat("Author: ", details.author, ".\n");
    text += details.source.empty() ? "" : concat("Original model: ", details.source, ".\n");
    return text.empty() ? text : concat(text, "\n");
}

/// `license:` of the source's model card; empty when there is none.
std::string source_license(const source::ModelSource& model)
{
    for (const source::SideFile& side : model.side_files) {
        if (side.name != "README.md" || !side.bytes.starts_with("---")) {
            continue;
        }
        const std::string front = side.bytes.substr(0, side.bytes.find("\n---", 3));
        for (const std::string& line : split(front, '\n')) {
            if (line.starts_with("license:")) {
                // What follows a single word is a comment, unless quotes hold it all.
                const std::string whole = join(split(line.substr(8), ' '), " ");
                const std::string inner = unquoted(whole);
                return inner != whole ? inner : whole.substr(0, whole.find(' '));
            }
        }
    }
    return {};
}

} // namespace

bool is_hub_id(std::string_view source)
{
    return !source.starts_with("modelscope:") && hf::parse_hub_name(source).has_value();
}

ExportDetails stated_details(const source::ModelSource& model, const ExportDetails& asked)
{
    ExportDetails details = asked;
    const auto fill = [](std::string& text, const auto& known) {
        if (text.empty()) {
            text = known();
        }
    };
    fill(details.model_name, [&model] { return model_name(model); });
    fill(details.license, [&model] { return source_license(model); });
    fill(details.source, [&model] { return source::hub_repository(model.path); });
    return details;
}

std::string model_card(const ExportInput& input, const Exporter& exporter)
{
    const CardText text = exporter.card_text(input);
    const ExportDetails details = stated_details(input.model, input.spec.exports);
    const std::string& name = details.model_name;
    std::string card = front_matter(details, text.library, exporter.id());
    card += concat("# ", name, ", ", input.spec.scheme.scheme, "\n\n");
    const bool is_converted = input.spec.recipe.name == kNoRecipe;
    const std::string recipe = is_converted ? ""
                                            : concat(", recipe ", input.spec.recipe.name, " (",
                                                input.spec.recipe.iters, " steps per block)");
    card += concat("The weights of **", name, "** (", input.model.info.architecture, "), ",
        is_converted ? "converted" : "quantized", " by Bitsmith ", BITSMITH_VERSION,
        " in the format `", exporter.id(), "`: scheme ", input.spec.scheme.scheme, recipe, ", ",
        average_bits(input.plan), " bits per weight of the blocks on average.\n\n");
    card += origin(details);
    card += concat("| scheme | layers |\n|---|---|\n", layer_summary(input.plan), "\n");
    card += input.measured != nullptr ? measured_table(*input.measured) : "";
    const std::vector<std::string> notes = export_notes(exporter, input);
    if (!notes.empty()) {
        card += concat("Notes:\n\n- ", join(notes, "\n- "), "\n\n");
    }
    card += details.notes.empty() ? "" : concat(details.notes, "\n\n");
    card += concat("## Loading\n\n", text.how_to_load, "\n\n`", "bitsmith.json",
        "` lists every layer's scheme and the SHA-256 of every file; `bitsmith-cli verify .` checks"
        " them.\n");
    return card;
}

} // namespace bitsmith::exporting
