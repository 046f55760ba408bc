// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/gguf_places.h"

#include "base/text.h"

#include <charconv>

namespace bitsmith::source {
namespace {

/// Takes a number off the front of `text`; nothing when there is none.
std::optional<int64_t> take_number(std::string_view& text)
{
    int64_t number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    if (read.ec != std::errc{} || number < 0) {
        return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(read.ptr - text.data()));
    return number;
}

/// The number of the expert that "{e}" of `pattern` stands for in `name`, -1 without one; nothing
/// when they differ.
std::optional<int64_t> match(std::string_view pattern, std::string_view name)
{
    constexpr std::string_view kMark = "{e}";
    const std::size_t mark = pattern.find(kMark);
    if (mark == std::string_view::npos) {
        return pattern == name ? std::optional<int64_t>(-1) : std::nullopt;
    }
    if (!name.starts_with(pattern.substr(0, mark))) {
        return std::nullopt;
    }
    name.remove_prefix(mark);
    const std::optional<int64_t> expert = take_number(name);
    return expert && name == pattern.substr(mark + kMark.size()) ? expert : std::nullopt;
}

} // namespace

const GgufFamily* find_gguf_family(std::string_view model_type)
{
    // Same decoder under another name.
    const std::string_view wanted = model_type == "mistral" ? "llama"
        : model_type == "gemma3"                            ? "gemma3_text"
                                                            : model_type;
    for (const GgufFamily& family : gguf_families()) {
        if (family.model_type == wanted) {
            return &family;
        }
    }
    return nullptr;
}

GgufPlaces::GgufPlaces(const model::DecoderSpec& spec, const GgufFamily& family)
    : family_(family)
    , embedding_(spec.model_names.embedding)
{
    const std::string& block = spec.model_names.block;
    block_ = block.substr(0, block.find("{i}"));
    const std::size_t layers = block_.rfind("layers.");
    stem_ = layers == std::string::npos ? block_ : block_.substr(0, layers);
}

std::optional<GgufPlace> GgufPlaces::place(std::string_view module) const
{
    if (module == embedding_) { // may bear the name of the head it is tied to
        return GgufPlace{std::string(kGgufEmbedding.gguf), kGgufEmbedding.role};
    }
    for (const GgufRule& rule : {kGgufEmbedding, kGgufFinalNorm, kGgufHead}) {
        if (module == rule.hf || module == in_this_model(rule.hf)) {
            return GgufPlace{std::string(rule.gguf), rule.role};
        }
    }
    return place_in_block(module);
}

std::string GgufPlaces::in_this_model(std::string_view name) const
{
    constexpr std::string_view kTableStem = "model.";
    return name.starts_with(kTableStem) ? concat(stem_, name.substr(kTableStem.size()))
                                        : std::string(name);
}

std::optional<GgufPlace> GgufPlaces::place_in_block(std::string_view module) const
{
    if (!module.starts_with(block_)) {
        return std::nullopt;
    }
    module.remove_prefix(block_.size());
    const std::optional<int64_t> block = take_number(module);
    if (!block || !module.starts_with('.')) {
        return std::nullopt;
    }
    for (const GgufRule& rule : family_.block) {
        if (const auto expert = match(rule.hf, module.substr(1))) {
            return GgufPlace{concat("blk.", *block, ".", rule.gguf), rule.role, *expert, *block};
        }
    }
    return std::nullopt;
}

} // namespace bitsmith::source
