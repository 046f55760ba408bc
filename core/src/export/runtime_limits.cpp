// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/runtime_limits.h"

#include "base/text.h"
#include "export/auto_round_layout.h"

#include <algorithm>

namespace bitsmith::exporting {

namespace {

/// Does the program load all quantized layers of a plan?
using Loads = bool (*)(const Plan&);

struct RuntimeLimit
{
    std::string_view format, runtime;
    Loads loads;
    std::string_view what; ///< what it loads of the format
};

template <bool (*reads)(const Scheme&)>
bool every_layer(const Plan& plan)
{
    return std::all_of(plan.layers.begin(), plan.layers.end(), [](const PlannedLayer& layer) {
        return !layer.scheme.is_quantized() || reads(layer.scheme);
    });
}

bool has_kernel_bits(const Scheme& scheme)
{
    return scheme.bits == 4 || scheme.bits == 8;
}

bool is_symmetric_gptq(const Scheme& scheme)
{
    return scheme.sym && has_kernel_bits(scheme);
}

bool is_tile(const Scheme& scheme)
{
    return scheme.group_rows > 1;
}

bool is_mx(const Scheme& scheme)
{
    return scheme.data_type == DataType::MxFp;
}

/// Inputs of integers: as they are, or in 8 bits beside weights of 8 bits.
bool is_compressed_for_sglang(const Scheme& scheme)
{
    const bool has_inputs =
        !scheme.quantizes_activations() || (scheme.bits == 8 && scheme.act_bits == 8);
    return scheme.data_type == DataType::Int ? has_kernel_bits(scheme) && has_inputs
                                             : !is_mx(scheme);
}

/// Its kernel for asymmetric layers of 8 bits takes these groups only, and Hopper GPUs.
bool is_compressed_for_vllm(const Scheme& scheme)
{
    const int64_t group = scheme.group_size;
    const bool has_kernel = scheme.data_type != DataType::Int || scheme.sym || scheme.bits != 8
        || group == kGroupPerRow || group == 64 || group == 128;
    return is_mx(scheme) || (has_kernel && is_compressed_for_sglang(scheme));
}

/// Both load the packings of GPTQ, with the kernels for it, and of AWQ.
bool sglang_loads_auto_round(const Plan& plan)
{
    const AutoRoundPacking packing = auto_round_packing(plan);
    return packing == AutoRoundPacking::Awq
        || (packing == AutoRoundPacking::Gptq && every_layer<has_kernel_bits>(plan));
}

bool is_mx_for_vllm(const Scheme& scheme)
{
    return is_mx(scheme) && (scheme.bits == 4 || scheme.act_data_type == DataType::MxFp);
}

bool vllm_loads_auto_round(const Plan& plan)
{
    switch (auto_round_packing(plan)) {
    case AutoRoundPacking::CompressedTensors:
        return every_layer<is_mx_for_vllm>(plan);
    case AutoRoundPacking::Fp8Tiles:
        return true;
    default:
        return sglang_loads_auto_round(plan);
    }
}

bool transformers_loads_auto_round(const Plan& plan)
{
    return auto_round_packing(plan) != AutoRoundPacking::Fp8Tiles;
}

constexpr RuntimeLimit kLimits[] = {
    {"auto_gptq", "vLLM", every_layer<is_symmetric_gptq>, "symmetric layers of 4 and 8 bits"},
    {"auto_gptq", "SGLang", every_layer<is_symmetric_gptq>, "symmetric layers of 4 and 8 bits"},
    {"auto_round", "vLLM", vllm_loads_auto_round,
        "symmetric integers of 4 and 8 bits, asymmetric ones where all have 4, MXFP4, MXFP8, "
        "and FP8 in tiles"},
    {"auto_round", "SGLang", sglang_loads_auto_round,
        "symmetric integers of 4 and 8 bits, and asymmetric ones where all have 4"},
    {"auto_round", "transformers", transformers_loads_auto_round, "all but FP8 in tiles"},
    {"llm_compressor", "vLLM", every_layer<is_compressed_for_vllm>,
        "integers of 4 and 8 bits (asymmetric ones of 8 in groups of 64, 128 or one per row), with "
        "rounded inputs of 8, and floating point numbers"},
    {"llm_compressor", "SGLang", every_layer<is_compressed_for_sglang>,
        "integers of 4 and 8 bits, with rounded inputs of 8, FP8 and NVFP4"},
    {"fp8", "transformers", every_layer<is_tile>, "a scale per tile"},
};

/// Null: the program loads all that the format holds.
const RuntimeLimit* limit_of(std::string_view format, std::string_view runtime)
{
    const auto* found =
        std::find_if(std::begin(kLimits), std::end(kLimits), [&](const RuntimeLimit& limit) {
            return limit.format == format && limit.runtime == runtime;
        });
    return found == std::end(kLimits) ? nullptr : found;
}

} // namespace

std::vector<std::string> loading_runtimes(const Exporter& exporter, const Plan& plan)
{
    std::vector<std::string> runtimes = exporter.info().runtimes;
    std::erase_if(runtimes, [&](const std::string& runtime) {
        const RuntimeLimit* limit = limit_of(exporter.id(), runtime);
        return limit != nullptr && !limit->loads(plan);
    });
    return runtimes;
}

std::vector<std::string> export_notes(const Exporter& exporter, const ExportInput& input)
{
    std::vector<std::string> notes;
    const std::vector<std::string> loading = loading_runtimes(exporter, input.plan);
    for (const std::string& runtime : exporter.info().runtimes) {
        if (std::find(loading.begin(), loading.end(), runtime) == loading.end()) {
            notes.push_back(concat(runtime, " does not load this: of ", exporter.id(), " it reads ",
                limit_of(exporter.id(), runtime)->what, "."));
        }
    }
    for (std::string& note : exporter.notes(input)) {
        notes.push_back(std::move(note));
    }
    return notes;
}

} // namespace bitsmith::exporting
