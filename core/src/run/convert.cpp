// SPDX-License-Identifier: GPL-3.0-or-later
// `convert`: a model in another format. Codes are taken over as they are, or weights are decoded;
// nothing is rounded that the format does not round by itself, and nothing is tuned.
#include "base/json_io.h"
#include "base/text.h"
#include "export/folder_format.h"
#include "export/model_card.h"
#include "model/block_layout.h"
#include "run/stages.h"
#include "run/typed_model.h"
#include "source/coded_layers.h"
#include "tensor/dtype.h"

#include <bitsmith/job.h>

#include <algorithm>
#include <array>
#include <map>

namespace bitsmith {

namespace {

using source::ModelSource;

/// The format of plain folders.
constexpr std::string_view kPlainFolder = "fake";
constexpr std::string_view kGguf = "gguf";
constexpr const char* kDecodeHint =
    "To write the decoded weights instead: --format bf16, or --format gguf --type bf16";

struct PlainType
{
    std::string_view name;
    c10::ScalarType type;
    std::string_view gguf_scheme; ///< empty: not for the matrices of a GGUF
};
constexpr std::array kPlainTypes = {
    PlainType{"bf16", c10::ScalarType::BFloat16, "gguf:bf16"},
    PlainType{"f16", c10::ScalarType::Half, "gguf:f16"},
    PlainType{"f32", c10::ScalarType::Float, ""},
};

/// What is asked for.
struct Target
{
    const exporting::Exporter& exporter;
    const PlainType* type; ///< of decoded weights; null: codes, or types as they are
};

/// What is written, and how.
struct Conversion
{
    std::shared_ptr<const ModelSource> model;
    Plan plan;
    std::string scheme; ///< of the whole file, for its name and card
    CacheType cache = CacheType::None;
    std::vector<std::string> deviations; ///< see ConvertReport
};

const PlainType* plain_type(std::string_view name)
{
    const auto found = std::find_if(kPlainTypes.begin(), kPlainTypes.end(),
        [name](const PlainType& type) { return type.name == name; });
    return found == kPlainTypes.end() ? nullptr : &*found;
}

[[noreturn]] void refuse_type(const std::string& found, const char* allowed, const char* hint = "")
{
    fail(ErrorCode::InvalidSpec, "this element type cannot be written",
        {{"field", "type"}, {"found", found}, {"allowed", allowed}}, hint);
}

bool holds_plain_models(const exporting::Exporter& exporter)
{
    return exporter.id() == kPlainFolder || exporter.id() == kGguf;
}

Target target_of(const ConvertOptions& options)
{
    const PlainType* type = plain_type(options.type);
    if (type == nullptr && !options.type.empty()) {
        refuse_type(options.type, "bf16, f16, f32");
    }
    if (const PlainType* named = plain_type(options.format)) {
        if (type != nullptr && type != named) {
            refuse_type(options.type, "none beside a format that is a type");
        }
        return {exporting::exporter_for(kPlainFolder), named};
    }
    const Target target{exporting::exporter_for(options.format), type};
    if (type != nullptr && !holds_plain_models(target.exporter)) {
        refuse_type(
            options.type, "none: this format holds quantized layers", "Take --format fake or gguf");
    }
    if (type != nullptr && target.exporter.id() == kGguf && type->gguf_scheme.empty()) {
        refuse_type(options.type, "bf16, f16");
    }
    return target;
}

/// A layer that is stored as codes: its type is no word of safetensors.
bool is_coded(const LayerInfo& layer)
{
    return !layer.dtype.empty() && !tensor::scalar_type_from(layer.dtype);
}

/// `scheme_of(layer)` for every layer.
template <class F>
Plan plan_for(const ModelInfo& model, const char* reason, const F& scheme_of)
{
    Plan plan;
    plan.layers.reserve(model.layers.size());
    for (const LayerInfo& layer : model.layers) {
        plan.layers.push_back({layer.name, layer.block_index, layer.rows, layer.columns,
            scheme_of(layer), reason, true});
    }
    return plan;
}

Conversion decoded(const Target& target, const std::shared_ptr<const ModelSource>& model)
{
    const bool is_typed = target.type != nullptr;
    const bool is_gguf = target.exporter.id() == kGguf;
    const std::string scheme(is_typed && is_gguf ? target.type->gguf_scheme : "keep");
    return {is_typed && !is_gguf ? typed_model(model, target.type->type) : model,
        plan_for(model->info, "written as plain weights",
            [scheme = parse_scheme(scheme)](const LayerInfo&) { return scheme; }),
        scheme, {}, {}};
}

struct Refusal
{
    std::string reason; ///< of the first layer; empty: no layer is refused
    Error::Context first;
    int64_t refused = 0, coded = 0; ///< layers
};

/// Whether every layer that is stored as codes has them in the plan, and the format holds them.
Refusal refusal_of(const Plan& plan, const ModelInfo& model, const exporting::Exporter& exporter)
{
    Refusal refusal;
    for (std::size_t i = 0; i < plan.layers.size(); ++i) {
        const PlannedLayer& layer = plan.layers[i];
        const bool has_codes = layer.scheme.is_quantized();
        refusal.coded += has_codes || is_coded(model.layers[i]) ? 1 : 0;
        const std::string found = has_codes ? exporter.refusal(layer.scheme)
            : is_coded(model.layers[i])     ? "codes of this kind cannot be taken over exactly"
                                            : "";
        if (found.empty()) {
            continue;
        }
        if (refusal.refused++ == 0) {
            refusal.reason = found;
            refusal.first = {{"format", std::string(exporter.id())}, {"layer", layer.name},
                {"found", has_codes ? scheme_name(layer.scheme) : model.layers[i].dtype}};
        }
    }
    return refusal;
}

/// The same weights under inputs that stay as they are.
Plan without_inputs(Plan plan)
{
    for (PlannedLayer& layer : plan.layers) {
        layer.scheme = with_activations_of(layer.scheme, keep_scheme());
    }
    return plan;
}

/// `plan` where the format holds it, otherwise without rounded inputs. Throws UnsupportedScheme.
Plan held_plan(Plan plan, const ModelInfo& model, const exporting::Exporter& exporter)
{
    Refusal refusal = refusal_of(plan, model, exporter);
    if (refusal.refused == 0) {
        return plan;
    }
    Plan bare = without_inputs(plan);
    if (refusal_of(bare, model, exporter).refused == 0) {
        return bare;
    }
    refusal.first.emplace_back("layers", concat(refusal.refused, " of ", refusal.coded));
    fail(ErrorCode::UnsupportedScheme, refusal.reason, std::move(refusal.first), kDecodeHint);
}

/// Takes the cache over; lists what runtimes of the source round and those of the target do not.
void settle_runtime(Conversion& conversion, const exporting::Exporter& exporter)
{
    const source::RuntimeRounding* runtime = conversion.model->runtime.get();
    if (runtime == nullptr) {
        return;
    }
    std::vector<std::string> lost;
    for (const std::string& name : runtime->layers()) {
        const PlannedLayer* layer = conversion.plan.find(name);
        if (layer == nullptr || !layer->scheme.quantizes_activations()) {
            lost.push_back(name);
        }
    }
    if (!lost.empty()) {
        conversion.deviations.push_back(concat(lost.front(),
            lost.size() > 1 ? concat(" and ", lost.size() - 1, " more layers") : "",
            ": runtimes of the source round the inputs, those of the target do not"));
    }
    const source::CacheRule& cache = runtime->cache_rule();
    const bool is_held = cache.other.empty() && exporter.cache_refusal(cache.type).empty();
    conversion.cache = is_held ? cache.type : CacheType::None;
    if (!is_held) {
        conversion.deviations.emplace_back(
            "key/value cache: runtimes of the source round it, those of the target do not");
    }
}

Conversion with_codes(const Target& target, const std::shared_ptr<const ModelSource>& model)
{
    static const std::map<std::string, Scheme, std::less<>> none;
    const auto& schemes = model->coded ? model->coded->schemes() : none;
    Plan plan = plan_for(model->info, "codes as they are", [&](const LayerInfo& layer) {
        const auto found = schemes.find(layer.name);
        return found == schemes.end() ? keep_scheme() : found->second;
    });
    plan = held_plan(std::move(plan), model->info, target.exporter);
    std::string scheme = scheme_name(exporting::common_scheme(plan));
    return {model, std::move(plan), std::move(scheme), {}, {}};
}

Conversion conversion_of(const Target& target, const std::shared_ptr<const ModelSource>& model)
{
    const bool has_codes = std::any_of(
        model->info.layers.begin(), model->info.layers.end(), [&](const LayerInfo& layer) {
            return is_coded(layer) || (model->coded && model->coded->contains(layer.name));
        });
    if (target.type != nullptr || target.exporter.id() == kPlainFolder) {
        return decoded(target, model);
    }
    if (has_codes) {
        return with_codes(target, model);
    }
    if (!holds_plain_models(target.exporter)) {
        fail(ErrorCode::InvalidSpec, "the model is not quantized, and the format holds codes",
            {{"field", "format"}, {"found", std::string(target.exporter.id())},
                {"allowed", "fake, gguf"}},
            "Quantize it: bitsmith-cli quantize MODEL --format FORMAT");
    }
    return decoded(target, model);
}

/// The codes of the source under the schemes of the plan, which may leave inputs alone.
class PlannedCodes final : public quant::QuantizedStore
{
public:
    explicit PlannedCodes(const Conversion& conversion)
        : plan_(conversion.plan)
        , model_(*conversion.model)
    { }
    bool contains(std::string_view layer) const override
    {
        const PlannedLayer* planned = plan_.find(layer);
        return planned != nullptr && planned->scheme.is_quantized();
    }
    quant::QuantizedWeight load(std::string_view layer) const override
    {
        if (!contains(layer)) {
            fail(ErrorCode::MissingTensor, "the layer has no codes",
                {{"layer", std::string(layer)}});
        }
        quant::QuantizedWeight weight = model_.coded->load(layer);
        weight.scheme = plan_.find(layer)->scheme;
        if (!weight.scheme.needs_input_max()) {
            weight.input_max.reset();
        }
        return weight;
    }
    quant::CacheMaxima cache(int64_t block) const override
    {
        return model_.runtime == nullptr
            ? quant::CacheMaxima{}
            : model_.runtime->cache(model::attention_module(model_.spec, block));
    }

private:
    const Plan& plan_;
    const ModelSource& model_;
};

Conversion open(RunContext& context, const std::string& name, const Target& target)
{
    const StageScope stage(context, Stage::Load, name);
    const auto model = source::open_model(name);
    for (const std::string& warning : model->info.warnings) {
        context.events.warn("model", warning);
    }
    Conversion conversion = conversion_of(target, model);
    settle_runtime(conversion, target.exporter);
    return conversion;
}

/// The job that a conversion stands for, as exports describe it.
JobSpec spec_of(const ConvertOptions& options, const Conversion& conversion)
{
    JobSpec spec;
    spec.model.path = options.model;
    spec.scheme.scheme = conversion.scheme;
    spec.recipe.name = exporting::kNoRecipe;
    spec.recipe.iters = 0;
    spec.recipe.nsamples = 0;
    spec.recipe.static_kv_dtype = conversion.cache;
    return spec;
}

} // namespace

ConvertReport convert_model(const ConvertOptions& options, Observer& observer, RunControl control)
{
    const Target target = target_of(options);
    EventEmitter events(observer);
    RunContext context{events, std::move(control), "cpu", 0};
    const Conversion conversion = open(context, options.model, target);
    const ModelSource& model = *conversion.model;
    const int64_t layers =
        std::count_if(conversion.plan.layers.begin(), conversion.plan.layers.end(),
            [](const PlannedLayer& layer) { return layer.scheme.is_quantized(); });
    if (layers > 0 && static_cast<int64_t>(model.coded->schemes().size()) > layers) {
        context.events.warn("convert",
            concat(model.coded->schemes().size() - static_cast<std::size_t>(layers),
                " quantized tensors that are no linear layers are written decoded"));
    }
    const PlannedCodes codes(conversion);
    const JobSpec spec = spec_of(options, conversion);
    const StageScope stage(context, Stage::Export, options.format);
    const exporting::ExportInput input{model, conversion.plan, codes, spec};
    const ExportReport written =
        exporting::publish_export(context, disk(), target.exporter, input, options.output);
    events.emit(ExportFinished{written.format, written.path, written.bytes, true});
    return {
        options.model, written.format, written.path, written.bytes, layers, conversion.deviations};
}

std::string document(const ConvertReport& report)
{
    const Json json = {{"model", report.model}, {"format", report.format}, {"path", report.path},
        {"bytes", report.bytes}, {"layers", report.layers}, {"deviations", report.deviations}};
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace bitsmith
