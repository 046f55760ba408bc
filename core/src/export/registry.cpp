// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text.h"
#include "export/auto_awq.h"
#include "export/auto_gptq.h"
#include "export/auto_round.h"
#include "export/compressed_tensors.h"
#include "export/exporter.h"
#include "export/fake.h"
#include "export/fp8_native.h"
#include "export/gguf/gguf_exporter.h"
#include "export/mlx.h"
#include "export/serve_table.h"
#include "values/scheme_presets.h"

#include <bitsmith/catalog.h>

#include <algorithm>

namespace bitsmith {

namespace exporting {

std::string Exporter::cache_refusal(CacheType type) const
{
    return type == CacheType::None
        ? std::string()
        : concat(id(), " has no scales of the key/value cache; llm_compressor has");
}

std::vector<const Exporter*> exporters()
{
    static const AutoRoundExporter auto_round;
    static const AutoGptqExporter auto_gptq;
    static const AutoAwqExporter auto_awq;
    static const CompressedTensorsExporter compressed_tensors;
    static const Fp8NativeExporter fp8;
    static const MlxExporter mlx;
    static const GgufExporter gguf;
    static const FakeExporter fake; // last: it is told by the marker alone
    return {&auto_round, &auto_gptq, &auto_awq, &compressed_tensors, &fp8, &mlx, &gguf, &fake};
}

const Exporter& exporter_for(std::string_view id)
{
    std::vector<std::string> known;
    for (const Exporter* exporter : exporters()) {
        if (exporter->id() == id) {
            return *exporter;
        }
        known.emplace_back(exporter->id());
    }
    const std::string near = nearest(id, known);
    fail(ErrorCode::UnsupportedFormat, "unknown output format",
        {{"found", std::string(id)}, {"allowed", join(known, ", ")}},
        near.empty() ? "" : concat("Did you mean ", near, "?"));
}

const Exporter* find_exporter(const std::filesystem::path& exported)
{
    for (const Exporter* exporter : exporters()) {
        if (exporter->recognizes(exported)) {
            return exporter;
        }
    }
    return nullptr;
}

const Exporter& exporter_of(const std::filesystem::path& exported)
{
    if (const Exporter* exporter = find_exporter(exported)) {
        return *exporter;
    }
    std::vector<std::string> known;
    for (const Exporter* exporter : exporters()) {
        known.emplace_back(exporter->id());
    }
    fail(ErrorCode::UnsupportedFormat, "this is no export of a known format",
        {{"file", exported.string()}, {"allowed", join(known, ", ")}});
}

namespace {

/// Does the format hold layers of a scheme, for a mix of bits those of its other bits beside them?
bool holds(const Exporter& exporter, const Scheme& scheme)
{
    Plan plan;
    const auto add = [&plan](const Scheme& of_layer) {
        PlannedLayer& layer = plan.layers.emplace_back();
        layer.block_index = 0;
        layer.scheme = of_layer;
    };
    add(scheme);
    if (const BitsMix* mix = find_bits_mix(scheme)) {
        Scheme other = scheme;
        other.bits = mix->other_bits;
        add(other);
    }
    return exporter.plan_refusal(plan).empty()
        && std::ranges::all_of(plan.layers,
            [&](const PlannedLayer& layer) { return exporter.refusal(layer.scheme).empty(); });
}

} // namespace

} // namespace exporting

const std::vector<FormatInfo>& format_catalog()
{
    static const std::vector<FormatInfo> catalog = [] {
        std::vector<FormatInfo> formats;
        for (const exporting::Exporter* exporter : exporting::exporters()) {
            FormatInfo& format = formats.emplace_back(exporter->info());
            format.serve = exporting::serve_template(format);
            for (const SchemeInfo& scheme : scheme_catalog()) {
                if (scheme.scheme.is_quantized() && exporting::holds(*exporter, scheme.scheme)) {
                    format.schemes.push_back(scheme.name);
                }
            }
        }
        return formats;
    }();
    return catalog;
}

std::string format_refusal(const std::string& format, const Scheme& scheme)
{
    return exporting::exporter_for(format).refusal(scheme);
}

std::string format_model_refusal(const std::string& format, const ModelInfo& model)
{
    return exporting::exporter_for(format).model_refusal(model);
}

std::string format_plan_refusal(const std::string& format, const Plan& plan)
{
    return exporting::exporter_for(format).plan_refusal(plan);
}

std::string format_shape_refusal(const std::string& format, const PlannedLayer& layer)
{
    const exporting::Exporter& exporter = exporting::exporter_for(format);
    const bool has_scheme = exporter.refusal(layer.scheme).empty();
    return has_scheme && layer.scheme.is_quantized() ? exporter.shape_refusal(layer) : "";
}

std::string format_cache_refusal(const std::string& format, CacheType type)
{
    return exporting::exporter_for(format).cache_refusal(type);
}

} // namespace bitsmith
