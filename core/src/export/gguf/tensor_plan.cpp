// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/gguf/tensor_plan.h"

#include "base/text.h"
#include "export/gguf/blocks.h"
#include "export/gguf/graph.h"
#include "export/gguf/transforms.h"
#include "model/decoder_block.h"
#include "plan/gguf_mix.h"
#include "source/gguf_places.h"
#include "values/scheme_presets.h"

#include <ATen/ATen.h>

#include <set>

namespace bitsmith::exporting {

namespace {

using source::GgufRole;
using source::GgufRule;
using tensor::GgufType;

constexpr int64_t kBlock = 32;

/// Buffers that are derived from the configuration, not weights.
bool is_buffer(std::string_view name)
{
    return name.ends_with("rotary_emb.inv_freq") || name.ends_with("attn.masked_bias");
}

/// "P" of "P.weight" and "P.bias"; empty for other names.
std::string_view module_of(std::string_view tensor)
{
    for (const std::string_view ending : {".weight", ".bias"}) {
        if (tensor.ends_with(ending)) {
            return tensor.substr(0, tensor.size() - ending.size());
        }
    }
    return {};
}

/// Plain type of a matrix: what it is stored as where GGUF has it, else fp16.
GgufType float_type_of(const tensor::TensorEntry& entry)
{
    return entry.dtype == "BF16" ? GgufType::BF16 : GgufType::F16;
}

/// Type of a quantized layer.
GgufType layer_type(const Scheme& scheme, const std::string& layer)
{
    const auto type = gguf_type_of(scheme);
    if (!type) {
        fail(ErrorCode::UnsupportedScheme, "no GGUF type holds this scheme exactly",
            {{"layer", layer}, {"scheme", scheme_name(scheme)}});
    }
    return *type;
}

GgufType explicit_float(const Plan& plan)
{
    for (const PlannedLayer& layer : plan.layers) {
        if (layer.scheme.gguf_type == "bf16") {
            return GgufType::BF16;
        }
        if (layer.scheme.gguf_type == "f16") {
            return GgufType::F16;
        }
    }
    return GgufType::F32; // none
}

/// Type of most quantized layers; without any, the plain type asked for or stored.
GgufType base_type(const ExportInput& input)
{
    std::map<GgufType, int64_t> counts;
    for (const PlannedLayer& layer : input.plan.layers) {
        if (const auto type = gguf_type_of(layer.scheme)) {
            counts[*type] += layer.rows * layer.columns;
        }
    }
    const auto most = std::max_element(counts.begin(), counts.end(),
        [](const auto& a, const auto& b) { return a.second < b.second; });
    if (most != counts.end()) {
        return most->first;
    }
    if (const GgufType wished = explicit_float(input.plan); wished != GgufType::F32) {
        return wished;
    }
    const auto& entries = input.model.tensors->entries();
    const auto matrix = std::find_if(entries.begin(), entries.end(),
        [](const tensor::TensorEntry& entry) { return entry.shape.size() >= 2; });
    return matrix == entries.end() ? GgufType::F16 : float_type_of(*matrix);
}

/// The type that was asked for, also where layers fell back to others, as llama.cpp names files.
std::string file_type_name(const ExportInput& input, GgufType base)
{
    const Scheme asked = parse_scheme(input.spec.scheme.scheme);
    const bool is_named = asked.is_quantized() && !asked.gguf_type.empty();
    std::string name(is_named ? std::string_view(asked.gguf_type) : tensor::gguf_type(base).name);
    std::transform(name.begin(), name.end(), name.begin(),
        [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return name;
}

/// The graphs add biases where the model does, and llama.cpp refuses a file with others.
std::set<std::string, std::less<>> biases_of(const model::DecoderSpec& spec)
{
    std::set<std::string, std::less<>> biases;
    for (int64_t i = 0; i < static_cast<int64_t>(spec.blocks.size()); ++i) {
        for (model::ExpectedTensor& tensor : model::expected_block_tensors(spec, i)) {
            if (tensor.name.ends_with(".bias")) {
                biases.insert(std::move(tensor.name));
            }
        }
    }
    return biases;
}

class Planner
{
public:
    Planner(const ExportInput& input, const source::GgufFamily& family)
        : input_(input)
        , spec_(input.model.spec)
        , places_(input.model.spec, family)
        , biases_(biases_of(input.model.spec))
        , wished_float_(explicit_float(input.plan))
    {
        plan_.family = &family;
        plan_.base = base_type(input);
        plan_.type_name = file_type_name(input, plan_.base);
    }

    GgufFilePlan build()
    {
        const std::set<std::string, std::less<>> experts = expert_tensors(spec_);
        for (const tensor::TensorEntry& entry : input_.model.tensors->entries()) {
            if (!experts.contains(entry.name)) {
                add(entry);
            }
        }
        for (ExpertStack& stack : expert_stacks(spec_)) {
            add(std::move(stack));
        }
        add_rotary_factors();
        require_unique();
        return std::move(plan_);
    }

private:
    void add(const tensor::TensorEntry& entry)
    {
        if (is_buffer(entry.name)) {
            plan_.skipped.push_back(entry.name);
            return;
        }
        const std::string_view module = module_of(entry.name);
        const auto placed = places_.place(module.empty() ? entry.name : module);
        // Prediction layers follow the blocks and look like them, but no graph consumes them.
        if (!placed || (placed->role == GgufRole::Bare) != module.empty()
            || placed->block >= static_cast<int64_t>(spec_.blocks.size())
            || (entry.name.ends_with(".bias") && !biases_.contains(entry.name))) {
            has_no_place(entry.name);
        }
        if (spec_.is_tied && placed->name == source::kGgufHead.gguf) {
            plan_.skipped.push_back(entry.name); // llama.cpp takes token_embd for both
            return;
        }
        GgufTensorPlan tensor;
        tensor.header = {
            concat(placed->name, module.empty() ? ".weight" : entry.name.substr(module.size())),
            entry.shape, GgufType::F32};
        tensor.source = entry.name;
        tensor.plus_one = placed->role == GgufRole::Norm && plan_.family->one_plus_norms;
        if (plan_.family->permuted_rotary && !spec_.blocks.empty()) {
            const model::AttentionSpec& attention = spec_.blocks.front().attention;
            tensor.rotary_heads = placed->role == GgufRole::Query ? attention.n_heads
                : placed->role == GgufRole::Key                   ? attention.n_kv_heads
                                                                  : 0;
        }
        choose_type(tensor, entry, placed->role);
        tensor.header.bytes(); // throws when rows do not hold whole blocks
        plan_.tensors.push_back(std::move(tensor));
    }

    [[noreturn]] void has_no_place(const std::string& tensor) const
    {
        fail(ErrorCode::UnsupportedModel, "GGUF has no place for a tensor of this model",
            {{"tensor", tensor}, {"architecture", std::string(plan_.family->arch)}});
    }

    void add(ExpertStack stack)
    {
        const std::string& first = stack.layers.front();
        const auto placed = places_.place(first);
        if (!placed || placed->role != GgufRole::Experts) {
            has_no_place(first);
        }
        GgufTensorPlan weights, biases;
        weights.header = {placed->name + ".weight", {stack.experts(), stack.rows, stack.columns}};
        const Scheme& scheme = stack_scheme(input_.plan, stack);
        if (scheme.is_quantized()) {
            weights.header.type = layer_type(scheme, first);
            weights.layers = stack.layers;
        } else {
            const c10::ScalarType stored = stack_type(input_.model, stack);
            set_plain_type(weights, stored == at::kBFloat16 ? GgufType::BF16 : GgufType::F16,
                stored == at::kFloat);
        }
        weights.header.bytes(); // throws when rows do not hold whole blocks
        biases.header = {placed->name + ".bias", {stack.experts(), stack.rows}, GgufType::F32};
        biases.is_bias = true;
        weights.stack = biases.stack = std::move(stack);
        plan_.tensors.push_back(std::move(weights));
        if (biases.stack->has_bias) {
            plan_.tensors.push_back(std::move(biases));
        }
    }

    /// Of a matrix that is not quantized; `stored` is its type unless the job asks for another.
    void set_plain_type(GgufTensorPlan& tensor, GgufType stored, bool is_fp32)
    {
        tensor.header.type = wished_float_ != GgufType::F32 ? wished_float_ : stored;
        if (is_fp32) {
            plan_.narrowed.push_back(tensor.header.name);
        }
    }

    void choose_type(GgufTensorPlan& tensor, const tensor::TensorEntry& entry, GgufRole role)
    {
        // Vectors, norms and biases are always F32 (formats.md 6.8).
        if (entry.shape.size() < 2 || role == GgufRole::Norm || !entry.name.ends_with(".weight")) {
            return;
        }
        const std::string layer = entry.name.substr(0, entry.name.size() - 7);
        const PlannedLayer* planned = input_.plan.find(layer);
        if (planned != nullptr && planned->scheme.is_quantized()) {
            tensor.header.type = layer_type(planned->scheme, layer);
            tensor.layers = {layer};
            return;
        }
        if (role == GgufRole::Router) {
            return; // few numbers that decide much (formats.md 6.8)
        }
        if (const auto type = table_type(tensor.header, layer)) {
            tensor.header.type = *type;
            return;
        }
        set_plain_type(tensor, float_type_of(entry), entry.dtype == "F32");
    }

    /// Of the embedding and the head in a quantized file; nothing where they stay as they are,
    /// because of their width or of --keep, and for all other tensors.
    std::optional<GgufType> table_type(
        const tensor::GgufTensorHeader& header, const std::string& layer) const
    {
        const bool is_embedding = header.name == "token_embd.weight";
        const int64_t columns = header.shape.back();
        const std::vector<std::string>& keep = input_.spec.scheme.keep;
        const bool is_kept = std::any_of(keep.begin(), keep.end(),
            [&layer](const std::string& pattern) { return matches_pattern(pattern, layer); });
        if ((!is_embedding && header.name != "output.weight") || is_kept
            || tensor::gguf_type(plan_.base).block == 1 || columns % kBlock != 0) {
            return std::nullopt;
        }
        const plan::GgufCategory table = is_embedding && !spec_.is_tied
            ? plan::GgufCategory::TokenEmbd
            : plan::GgufCategory::Output;
        const std::string_view type = plan::gguf_table_type(lower(plan_.type_name), table, columns);
        return gguf_type_of(find_gguf_preset(type)->scheme);
    }

    void add_rotary_factors()
    {
        if (spec_.blocks.empty()) {
            return;
        }
        const model::AttentionSpec& attention = spec_.blocks.front().attention;
        const model::RotarySpec& rotary = attention.rotary;
        const auto count = [](const std::vector<double>& factors) {
            return std::vector<int64_t>{static_cast<int64_t>(factors.size())};
        };
        const auto add = [this](std::string name, std::vector<int64_t> shape) {
            GgufTensorPlan tensor;
            tensor.header = {std::move(name), std::move(shape), GgufType::F32};
            plan_.tensors.push_back(std::move(tensor));
        };
        if (rotary.kind == model::RotaryKind::Llama3) {
            add("rope_freqs.weight", {attention.head_dim / 2});
        } else if (rotary.kind == model::RotaryKind::LongRope) {
            add("rope_factors_long.weight", count(rotary.long_factor));
            add("rope_factors_short.weight", count(rotary.short_factor));
        }
    }

    void require_unique() const
    {
        std::set<std::string> seen;
        for (const GgufTensorPlan& tensor : plan_.tensors) {
            if (!seen.insert(tensor.header.name).second) {
                fail(ErrorCode::UnsupportedModel, "two tensors of the model have one place in GGUF",
                    {{"tensor", tensor.source}});
            }
        }
    }

    const ExportInput& input_;
    const model::DecoderSpec& spec_;
    source::GgufPlaces places_;
    const std::set<std::string, std::less<>> biases_; ///< that the graph adds
    GgufType wished_float_;
    GgufFilePlan plan_;
};

at::Tensor computed_tensor(const ExportInput& input, const std::string& name)
{
    const model::AttentionSpec& attention = input.model.spec.blocks.front().attention;
    if (name == "rope_freqs.weight") {
        return llama3_divisors(attention.rotary, attention.head_dim);
    }
    const std::vector<double>& factors = name == "rope_factors_long.weight"
        ? attention.rotary.long_factor
        : attention.rotary.short_factor;
    return at::tensor(factors, at::kDouble).to(at::kFloat);
}

/// Codes of its layers, one below the other.
at::Tensor coded_bytes(
    const ExportInput& input, const GgufTensorPlan& tensor, const at::Tensor& order)
{
    std::vector<at::Tensor> parts;
    for (const std::string& layer : tensor.layers) {
        const quant::QuantizedWeight weight = input.layers.load(layer);
        parts.push_back(encode_gguf_layer(
            order.defined() ? with_rows(weight, order) : weight, tensor.header.type));
    }
    return parts.size() == 1 ? parts.front() : at::cat(parts);
}

} // namespace

std::vector<tensor::GgufTensorHeader> GgufFilePlan::headers() const
{
    std::vector<tensor::GgufTensorHeader> headers;
    headers.reserve(tensors.size());
    for (const GgufTensorPlan& tensor : tensors) {
        headers.push_back(tensor.header);
    }
    return headers;
}

GgufFilePlan gguf_file_plan(const ExportInput& input)
{
    const source::GgufFamily* family = source::find_gguf_family(input.model.spec.model_type);
    if (family == nullptr) {
        fail(ErrorCode::UnsupportedModel, "GGUF files are not written for this family",
            {{"field", "model_type"}, {"found", input.model.spec.model_type}});
    }
    check_gguf_graph(input.model.spec, family->arch);
    return Planner(input, *family).build();
}

at::Tensor gguf_tensor_bytes(const ExportInput& input, const GgufTensorPlan& tensor)
{
    const GgufType type = tensor.header.type;
    if (tensor.stack && tensor.layers.empty()) {
        return encode_gguf_plain(tensor.is_bias ? stack_biases(input.model, *tensor.stack)
                                                : stack_weights(input.model, *tensor.stack),
            type);
    }
    if (tensor.source.empty() && tensor.layers.empty()) {
        return encode_gguf_plain(computed_tensor(input, tensor.header.name), type);
    }
    at::Tensor order;
    if (tensor.rotary_heads > 0) {
        order = rotary_row_order(tensor.header.shape.front(), tensor.rotary_heads);
    }
    if (!tensor.layers.empty()) {
        return coded_bytes(input, tensor, order);
    }
    at::Tensor values = input.model.tensors->load(tensor.source);
    if (order.defined()) {
        values = values.index_select(0, order);
    }
    if (tensor.plus_one) {
        values = values.to(at::kFloat) + 1;
    }
    if (tensor::gguf_type(type).block > 1) {
        return round_to_gguf(values, type, input.spec.recipe.start != Start::MinMax);
    }
    return encode_gguf_plain(values, type);
}

} // namespace bitsmith::exporting
