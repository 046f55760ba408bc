// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/checkpoint_names.h"

#include "base/text.h"
#include "model/decoder_block.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <charconv>

namespace bitsmith::source {

namespace {

/// The head stands outside the decoder's module, but inside the language model's.
std::string head_under(const std::string& prefix, const std::string& head)
{
    for (const std::string_view module : {"language_model.", "thinker."}) {
        if (prefix.starts_with(module)) {
            return concat(module, head);
        }
    }
    return head;
}

model::DecoderSpec under_prefix(const model::DecoderSpec& spec, const std::string& prefix)
{
    const std::string canonical = spec.model_names.prefixes.front();
    model::DecoderSpec renamed = spec;
    model::ModelNames& names = renamed.model_names;
    for (std::string* name : {&names.block, &names.embedding, &names.position_embedding,
             &names.embedding_norm, &names.project_in, &names.final_norm, &names.project_out}) {
        if (name->starts_with(canonical)) {
            *name = prefix + name->substr(canonical.size());
        }
    }
    names.head = head_under(prefix, names.head);
    return renamed;
}

bool holds_block_0(const model::DecoderSpec& spec, const tensor::TensorSource& tensors)
{
    const std::vector<model::LinearShape> layers = model::block_linear_shapes(spec, 0);
    return !layers.empty() && tensors.find(layers.front().name + ".weight") != nullptr;
}

/// Number of block indices from 0 to the highest one stored.
int64_t stored_blocks(const std::string& block_name, const tensor::TensorSource& tensors)
{
    const std::string list = block_name.substr(0, block_name.find("{i}"));
    int64_t count = 0;
    for (const tensor::TensorEntry& entry : tensors.entries()) {
        if (!entry.name.starts_with(list)) {
            continue;
        }
        const char* begin = entry.name.data() + list.size();
        const char* end = entry.name.data() + entry.name.size();
        int64_t index = 0;
        const auto parsed = std::from_chars(begin, end, index);
        if (parsed.ec == std::errc() && parsed.ptr != end && *parsed.ptr == '.'
            && index < INT64_MAX) {
            count = std::max(count, index + 1);
        }
    }
    return count;
}

int64_t announced_extra_blocks(const Json& config)
{
    for (const char* field :
        {"num_nextn_predict_layers", "num_mtp_layers", "mtp_num_hidden_layers"}) {
        const auto found = config.find(field);
        if (found != config.end() && found->is_number_unsigned()) {
            return static_cast<int64_t>(std::min<uint64_t>(found->get<uint64_t>(), 1 << 20));
        }
    }
    return 0;
}

/// Of two tied weights a file may hold the one or the other.
void adopt_tied_name(model::DecoderSpec& spec, const tensor::TensorSource& tensors)
{
    model::ModelNames& names = spec.model_names;
    const bool has_head_only = tensors.find(names.embedding + ".weight") == nullptr
        && tensors.find(names.head + ".weight") != nullptr;
    if (spec.is_tied && has_head_only) {
        names.embedding = names.head;
    }
}

} // namespace

void adopt_checkpoint_names(model::DecoderSpec& spec, const tensor::TensorSource& tensors)
{
    if (spec.model_names.prefixes.empty() || spec.blocks.empty()) {
        return;
    }
    std::vector<std::string> prefixes = spec.model_names.prefixes;
    for (const char* general : {"model.language_model.", "language_model.model.", "thinker.model.",
             "model.text_model.", "model."}) {
        if (std::find(prefixes.begin(), prefixes.end(), general) == prefixes.end()) {
            prefixes.emplace_back(general);
        }
    }
    for (const std::string& prefix : prefixes) {
        model::DecoderSpec candidate = under_prefix(spec, prefix);
        if (holds_block_0(candidate, tensors)) {
            spec = std::move(candidate);
            adopt_tied_name(spec, tensors);
            return;
        }
    }
}

void check_block_count(
    const model::DecoderSpec& spec, const Json& decoder_config, const tensor::TensorSource& tensors)
{
    const auto wanted = static_cast<int64_t>(spec.blocks.size());
    const int64_t stored = stored_blocks(spec.model_names.block, tensors);
    if (stored == 0 || stored == wanted) {
        return; // without any block the check of tensors gives the better message
    }
    const Error::Context context = {{"field", "num_hidden_layers"},
        {"config.json", std::to_string(wanted)}, {"stored blocks", std::to_string(stored)}};
    if (stored < wanted) {
        fail(ErrorCode::MissingTensor, "the checkpoint holds fewer blocks than config.json says",
            context, "The download is incomplete, or config.json belongs to another model.");
    }
    if (stored > wanted + announced_extra_blocks(decoder_config)) {
        fail(ErrorCode::ShapeMismatch, "the checkpoint holds more blocks than config.json says",
            context, "config.json belongs to another model, or was changed.");
    }
}

} // namespace bitsmith::source
