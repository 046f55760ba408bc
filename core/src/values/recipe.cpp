// SPDX-License-Identifier: GPL-3.0-or-later
// The named recipes. Source: algorithm.md 2, ui.md 5.3.
#include "base/text.h"

#include <bitsmith/catalog.h>
#include <bitsmith/error.h>
#include <bitsmith/recipe.h>
#include <bitsmith/scheme.h>

#include <algorithm>

namespace bitsmith {

namespace {

struct RecipeRow
{
    const char* name;
    int64_t iters, nsamples, seqlen, batch_size;
    std::optional<double> lr;
    Start start;
    const char* title;
    Objective objective = Objective::InverseNorm;
    Smoothing smoothing = Smoothing::Off;
};
const RecipeRow kRecipes[] = {
    {"default", 200, 128, 2048, 8, {}, Start::Search, "good balance"},
    {"best", 1000, 512, 2048, 8, {}, Start::Search,
        "most accurate, 4-5 times slower than default; for 2 bits"},
    {"light", 50, 128, 2048, 8, 0.005, Start::Search,
        "2-3 times faster; for 4 bits and models above 3 B"},
    {"fast", 200, 128, 512, 4, {}, Start::Search,
        "low memory, quick evaluation; shorter sequences"},
    {"gptq", 0, 128, 512, 8, {}, Start::Compensated,
        "compensated rounding, no steps; a few passes over the calibration text"},
    {"opt_rtn", 0, 128, 512, 8, {}, Start::Search,
        "searched ranges, no steps; one pass over the calibration text", Objective::Mse,
        Smoothing::Auto},
    {"rtn", 0, 0, 2048, 8, {}, Start::MinMax,
        "plain rounding, no calibration data; seconds; the baseline"},
};

Recipe recipe_of(const RecipeRow& row)
{
    Recipe recipe;
    recipe.name = row.name;
    recipe.iters = row.iters;
    recipe.nsamples = row.nsamples;
    recipe.seqlen = row.seqlen;
    recipe.batch_size = row.batch_size;
    recipe.lr = row.lr;
    recipe.start = row.start;
    recipe.objective = row.objective;
    recipe.smoothing = row.smoothing;
    return recipe;
}

[[noreturn]] void fail_unknown(const char* what, const char* field, std::string_view name,
    const std::vector<std::string>& names)
{
    const std::string near = nearest(name, names);
    fail(ErrorCode::InvalidSpec, concat("unknown ", what),
        {{"field", field}, {"found", std::string(name)}, {"allowed", join(names, ", ")}},
        near.empty() ? "" : "Did you mean " + near + "?");
}

} // namespace

Recipe named_recipe(std::string_view name)
{
    std::vector<std::string> names;
    for (const RecipeRow& row : kRecipes) {
        if (name == row.name) {
            return recipe_of(row);
        }
        names.emplace_back(row.name);
    }
    fail_unknown("recipe", "recipe.name", name, names);
}

const std::vector<NamedItem>& algorithm_catalog()
{
    static const std::vector<NamedItem> catalog = {
        {"signround", "rounding and ranges of a block tuned by signed gradient descent"},
        {"gptq", "compensated rounding: the error of each column is passed on to the next ones"},
        {"opt_rtn", "plain rounding with searched ranges, channels weighted by what they carry"},
        {"rtn", "plain rounding, no calibration data"},
    };
    return catalog;
}

void apply_algorithm(Recipe& recipe, std::string_view name)
{
    std::vector<std::string> names;
    for (const NamedItem& item : algorithm_catalog()) {
        names.push_back(item.id);
    }
    if (std::find(names.begin(), names.end(), name) == names.end()) {
        fail_unknown("algorithm", "--algorithm", name, names);
    }
    const Recipe usual = named_recipe(name == "signround" ? "default" : name);
    if (name == "signround" && recipe.iters > 0) {
        recipe.start = usual.start;
        return;
    }
    recipe.name = usual.name;
    recipe.iters = usual.iters;
    recipe.start = usual.start;
    recipe.objective = usual.objective;
    recipe.smoothing = usual.smoothing;
    recipe.nsamples = usual.nsamples == 0 ? 0 : std::max(recipe.nsamples, usual.nsamples);
}

void apply_algorithm_extension(Recipe& recipe, const Scheme& scheme)
{
    constexpr double kOutliers = 0.001;
    if (scheme.data_type == DataType::IntDouble) {
        recipe.start = Start::Search;
        recipe.enable_minmax_tuning = false;
        return;
    }
    constexpr DataType kExtended[] = {DataType::Int, DataType::MxFp, DataType::MxFpRceil,
        DataType::MxInt, DataType::NvFp, DataType::NvFpE5m3};
    if (!scheme.sym
        || std::find(std::begin(kExtended), std::end(kExtended), scheme.data_type)
            == std::end(kExtended)) {
        return;
    }
    recipe.start = Start::Search;
    if (scheme.bits < 4 || scheme.act_bits <= 4) {
        recipe.outlier_fraction = kOutliers;
    }
}

const std::vector<RecipeInfo>& recipe_catalog()
{
    static const std::vector<RecipeInfo> catalog = [] {
        std::vector<RecipeInfo> items;
        for (const RecipeRow& row : kRecipes) {
            items.push_back({recipe_of(row), row.title});
        }
        return items;
    }();
    return catalog;
}

} // namespace bitsmith
