// SPDX-License-Identifier: GPL-3.0-or-later
// Re-opening of an mlx folder.
#include "export/folder_verify.h"
#include "export/mlx.h"
#include "export/mlx_config.h"
#include "export/mlx_layout.h"
#include "source/hf_weights.h"
#include "source/mlx_source.h"
#include "tensor/bit_pack.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

/// Smallest step of fp16, which scales and offsets below its normal range are rounded to.
constexpr double kSmallestStep = 0x1p-24;

/// `stored` has this tensor, of one of the types: a matrix, or those of all experts.
const tensor::TensorEntry* matrix(const tensor::TensorSource& stored, const std::string& name,
    const std::vector<std::string>& types, Findings& findings)
{
    const tensor::TensorEntry* entry = stored.find(name);
    if (entry != nullptr && (entry->shape.size() == 2 || entry->shape.size() == 3)
        && std::find(types.begin(), types.end(), entry->dtype) != types.end()) {
        return entry;
    }
    findings.push_back(
        concat("tensor ", name, entry == nullptr ? " is missing" : " has another type or rank"));
    return nullptr;
}

/// The tensors of one layer against what `rules`, of config.json, say of it.
void check_layer(const tensor::TensorSource& stored, const std::string& layer, const Json& rules,
    Findings& findings)
{
    const Scheme scheme = source::mlx_scheme(rules, layer);
    const bool is_affine = scheme.data_type == DataType::IntFloatZero;
    const std::vector<std::string> types =
        is_affine ? std::vector<std::string>{"F16", "BF16", "F32"} : std::vector<std::string>{"U8"};
    const auto* codes = matrix(stored, layer + ".weight", {"U32"}, findings);
    const auto* scales = matrix(stored, layer + ".scales", types, findings);
    const auto* biases = is_affine ? matrix(stored, layer + ".biases", types, findings) : scales;
    if (codes == nullptr || scales == nullptr || biases == nullptr) {
        return;
    }
    const int64_t bits_of_row = codes->shape.back() * 32;
    const int64_t bits_of_group = scheme.bits * scheme.group_size;
    std::vector<int64_t> groups = codes->shape;
    groups.back() = bits_of_row / bits_of_group;
    if (bits_of_row % bits_of_group != 0 || scales->shape != groups || biases->shape != groups) {
        findings.push_back(concat("the tensors of layer ", layer, " do not fit its rule"));
    }
}

void check_rule(const tensor::TensorSource& stored, const std::string& layer, const Json& rules,
    Findings& findings)
{
    try {
        check_layer(stored, layer, rules, findings);
    } catch (const Error& error) {
        findings.push_back(concat("the rule of layer ", layer, ": ", error.what()));
    }
}

/// Whether `layer` is packed by the common rule: mlx-lm lists exceptions only, this program every
/// layer.
bool has_common_rule(const Json& rules, const std::string& layer)
{
    return rules.contains("bits") && !rules.contains(layer);
}

/// What the configuration implies: tensors for every rule, a rule for every packed weight.
void check_structure(const tensor::TensorSource& stored, const Json& rules, Findings& findings)
{
    for (const auto& [layer, rule] : rules.items()) {
        if (rule.is_object()) {
            check_rule(stored, layer, rules, findings);
        }
    }
    for (const tensor::TensorEntry& entry : stored.entries()) {
        const std::string layer = entry.name.substr(0, entry.name.rfind('.'));
        const bool has_own = rules.contains(layer) && rules[layer].is_object();
        if (entry.dtype != "U32" || has_own) {
            continue;
        }
        if (has_common_rule(rules, layer)) {
            check_rule(stored, layer, rules, findings);
        } else {
            findings.push_back(concat("packed layer ", layer, " has no rule in config.json"));
        }
    }
}

/// The tensors of a layer as they are stored; `biases` undefined for MX types.
struct Stored
{
    at::Tensor codes, scales, biases;
};

at::Tensor or_zeros(const at::Tensor& values, const at::Tensor& like)
{
    return values.defined() ? values : at::zeros_like(like);
}

/// A layer has its tuned codes, and mlx decodes them to values as near to the tuned ones as the
/// rounding of scales and offsets to `type` allows; without offsets to the same. Values, and what is
/// allowed to them, are linear in the code: the first and the last code of a group speak for all.
bool decodes_alike(const Stored& stored, const quant::QuantizedWeight& tuned, c10::ScalarType type)
{
    if (!at::equal(tensor::unpack_stream(stored.codes, tuned.scheme.bits), tuned.codes)) {
        return false;
    }
    if (type == at::kByte) {
        return at::equal(stored.scales, tuned.scales.view(stored.scales.sizes()));
    }
    const quant::CodeGrid grid = quant::codec_for(tuned.scheme).code_grid(tuned);
    const at::Tensor zero = or_zeros(grid.zero, grid.scale);
    const at::Tensor minimum = or_zeros(grid.minimum, grid.scale);
    const at::Tensor scales = stored.scales.to(at::kFloat), biases = stored.biases.to(at::kFloat);
    return std::ranges::all_of(std::array{0.0, grid.last}, [&](double code) {
        const at::Tensor expected = (code - zero) * grid.scale + minimum;
        const at::Tensor products = scales * code;
        // Of the scale, times a distance of codes, and of the offset.
        const at::Tensor allowed =
            (products.abs() + 2 * biases.abs()) * (1.01 * rounding_of(type) + 1e-6) + kSmallestStep;
        return (products + biases - expected).abs().le(allowed).all().item<bool>();
    });
}

Stored load_module(const tensor::TensorSource& stored, const std::string& module, bool has_biases)
{
    return {stored.load(module + ".weight"), stored.load(module + ".scales"),
        has_biases ? stored.load(module + ".biases") : at::Tensor()};
}

Stored of_expert(const Stored& module, int64_t expert)
{
    return {module.codes.select(0, expert), module.scales.select(0, expert),
        module.biases.defined() ? module.biases.select(0, expert) : at::Tensor()};
}

void check_values(const tensor::TensorSource& stored, const std::vector<MlxTensor>& layout,
    MlxPacker& packer, Findings& findings)
{
    for (const MlxTensor& tensor : layout) {
        if (tensor.part != MlxPart::Scales) {
            continue;
        }
        const std::vector<std::string> layers = packer.layers_of(tensor.source);
        const Stored module = load_module(stored, tensor.source, tensor.type != at::kByte);
        const bool has_experts = module.codes.dim() == 3;
        for (std::size_t i = 0; i < layers.size(); ++i) {
            const Stored layer = has_experts ? of_expert(module, static_cast<int64_t>(i)) : module;
            if (!decodes_alike(layer, packer.weight(layers[i]), tensor.type)) {
                findings.push_back(
                    concat("layer ", layers[i], " does not decode to its tuned values"));
            }
        }
    }
}

} // namespace

std::vector<std::string> MlxExporter::verify(const fs::path& folder, const ExportInput* input) const
{
    Findings findings;
    try {
        const Json config = read_json_file(folder / "config.json");
        const auto stored = source::open_hf_weights(folder).tensors;
        if (!recognizes(folder)) {
            return {"config.json has no object 'quantization'"};
        }
        if (input == nullptr) {
            check_structure(*stored, config["quantization"], findings);
            add_finite_findings(*stored, findings);
            return findings;
        }
        const std::vector<MlxTensor> layout = mlx_layout(*input);
        findings = coverage_findings(*stored, entries_of(layout));
        if (config != mlx_config(*input)) {
            findings.emplace_back("config.json describes another model than the plan has");
        }
        MlxPacker packer(*input);
        if (findings.empty()) {
            findings = byte_findings(*stored, layout, packer);
        }
        if (findings.empty()) {
            check_values(*stored, layout, packer, findings);
        }
    } catch (const Error& error) {
        findings.emplace_back(error.what());
    }
    return findings;
}

} // namespace bitsmith::exporting
