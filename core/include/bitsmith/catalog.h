// SPDX-License-Identifier: GPL-3.0-or-later
// Read-only lists of what the program knows. Combos of the window and `bitsmith-cli list` are built
// from these.
#pragma once

#include <bitsmith/model_info.h>
#include <bitsmith/plan.h>
#include <bitsmith/recipe.h>
#include <bitsmith/scheme.h>

#include <string>
#include <vector>

namespace bitsmith {

struct SchemeInfo
{
    std::string name;
    std::string group; ///< "integer", "floating", "gguf"
    std::string title;
    Scheme scheme;
};

struct FormatInfo
{
    std::string id; ///< "auto_round", "gguf"
    std::string title;
    std::string accepts; ///< schemes in words
    std::string layout; ///< files in words
    std::vector<std::string> runtimes = {}; ///< programs that load it: "llama.cpp", "vLLM"
    /// Shell command that serves an export: {path} stands for it, {file} for the GGUF file in it.
    /// Empty: none is known. The catalogue fills it from the runtimes.
    std::string serve = {};
    /// Names of the schemes of the catalogue that quantize and that it holds; the catalogue fills it.
    std::vector<std::string> schemes = {};
};

struct FamilyInfo
{
    std::string id;
    std::string title;
    std::vector<std::string> model_types;
};

struct RecipeInfo
{
    Recipe recipe;
    std::string title; ///< what is said to the user
};

struct NamedItem
{
    std::string id;
    std::string title;
};

const std::vector<SchemeInfo>& scheme_catalog();
const std::vector<RecipeInfo>& recipe_catalog();
const std::vector<NamedItem>& algorithm_catalog();
const std::vector<FormatInfo>& format_catalog();
const std::vector<FamilyInfo>& family_catalog();
const std::vector<NamedItem>& metric_catalog();
const std::vector<NamedItem>& dataset_catalog();

/// Does `format` hold layers of `scheme`? Empty: yes. Otherwise the reason, in one sentence.
/// Throws UnsupportedFormat for a format that does not exist.
std::string format_refusal(const std::string& format, const Scheme& scheme);
/// Does `format` hold models of this family? The same.
std::string format_model_refusal(const std::string& format, const ModelInfo& model);
/// Does `format` tell runtimes to keep keys and values in these numbers? The same.
std::string format_cache_refusal(const std::string& format, CacheType type);
/// Does `format` describe the schemes of a plan beside each other? The same.
std::string format_plan_refusal(const std::string& format, const Plan& plan);
/// Does `format` pack a layer of this shape? Empty too for a scheme that format_refusal refuses.
std::string format_shape_refusal(const std::string& format, const PlannedLayer& layer);

} // namespace bitsmith
