// SPDX-License-Identifier: GPL-3.0-or-later
// How hard to tune.
#pragma once

#include <bitsmith/fields.h>
#include <bitsmith/scheme.h>

#include <optional>
#include <string>
#include <string_view>

namespace bitsmith {

/// Which state of the tuned values a block keeps.
enum class Selection
{
    Last, ///< after the last step
    Holdout, ///< the state with the lowest loss on held-out samples
    Minibatch, ///< the state whose own mini-batch had the lowest loss (the reference's behaviour)
};
template <>
struct EnumNames<Selection>
{
    static constexpr std::array<std::string_view, 3> names = {"last", "holdout", "minibatch"};
};

/// Where tuning starts, and where it ends without steps.
enum class Start
{
    MinMax, ///< the range of each group (the reference's behaviour)
    Search, ///< the range with the smallest error, input channels weighted by what they carry
    Compensated, ///< searched ranges, codes by compensated rounding (GPTQ)
};
template <>
struct EnumNames<Start>
{
    static constexpr std::array<std::string_view, 3> names = {"minmax", "search", "compensated"};
};

/// Whether input channels of layers are scaled, and the inverse folded into what comes before, so
/// that channels that carry much lose less.
enum class Smoothing
{
    Off, ///< the reference's behaviour
    Auto, ///< Awq in blocks whose layers all take their inputs as they are
    Awq, ///< by a power of the mean magnitude (AWQ)
};
template <>
struct EnumNames<Smoothing>
{
    static constexpr std::array<std::string_view, 3> names = {"off", "auto", "awq"};
};

/// How much each position, and each channel, counts in the loss of a block.
enum class Objective
{
    Mse, ///< all alike (the reference's behaviour)
    InverseNorm, ///< positions by 1 / |output|² of the original block
    Fisher, ///< positions and channels by the squared gradient of the original model's loss
};
template <>
struct EnumNames<Objective>
{
    static constexpr std::array<std::string_view, 3> names = {"mse", "inverse-norm", "fisher"};
};

/// Whether the scales of all layers, and the norms, are tuned together at the end, on the output of the
/// whole model.
enum class TouchUpMode
{
    /// After tuning or compensated rounding, when most layers have 4 bits or fewer, and scales that
    /// are no powers of two.
    Auto,
    On,
    Off, ///< the reference's behaviour
};
template <>
struct EnumNames<TouchUpMode>
{
    static constexpr std::array<std::string_view, 3> names = {"auto", "on", "off"};
};

/// Settings of the tuner. Source: algorithm.md 1.10-1.12 and 2.
struct Recipe
{
    std::string name = "default"; ///< of the catalogue, or custom
    int64_t iters = 200;
    int64_t nsamples = 128;
    int64_t seqlen = 2048;
    int64_t batch_size = 8;
    int64_t gradient_accumulate_steps = 1;
    std::optional<double>
        lr; ///< automatic when empty: 1/iters; 2/iters for <= 3 bits and iters >= 1000
    std::optional<double> minmax_lr; ///< automatic when empty: lr
    bool enable_minmax_tuning = true;
    bool enable_quanted_input = true;
    Smoothing smoothing = Smoothing::Off;
    Start start = Start::Search;
    Objective objective = Objective::InverseNorm;
    /// Share of the largest errors of a sample that a block's loss leaves out; 0: none.
    double outlier_fraction = 0;
    Selection selection = Selection::Holdout;
    TouchUpMode touch_up = TouchUpMode::Auto;
    CacheType static_kv_dtype = CacheType::None; ///< numbers of the key/value cache
    int64_t dynamic_max_gap = -1; ///< steps without gain before a block stops early; -1 never

    /// Samples in auto-round's order, and its derivative at the ends of the range (--reference-mode).
    bool mimic_reference = false;

    /// Whether calibration text is read at all.
    bool uses_calibration() const { return nsamples > 0 && name != "rtn"; }
    bool operator==(const Recipe&) const = default;
};

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, Recipe>
void visit_fields(Visitor& v, Self& r)
{
    v("name", r.name, any_value(), "named recipe, see 'list recipes', or custom");
    v("iters", r.iters, range(0, 100000, "steps"), "tuning steps per block; 0: rounding only");
    v("nsamples", r.nsamples, range(0, 1048576, "samples"), "calibration samples");
    v("seqlen", r.seqlen, range(1, 1048576, "tokens"), "tokens per calibration sample");
    v("batch_size", r.batch_size, range(1, 65536, "samples"), "samples per step");
    v("gradient_accumulate_steps", r.gradient_accumulate_steps, range(1, 65536),
        "batches whose gradients are added before a step");
    v("lr", r.lr, range(0, 10), "step size of the rounding values; automatic: 1 / iters");
    v("minmax_lr", r.minmax_lr, range(0, 10),
        "step size of the range factors; automatic: lr, and 0 for K types");
    v("enable_minmax_tuning", r.enable_minmax_tuning, any_value(), "tune the range of each group");
    v("enable_quanted_input", r.enable_quanted_input, any_value(),
        "feed each block the outputs of the quantized blocks before it");
    v("smoothing", r.smoothing, any_value(),
        "awq: scale input channels by what they carry, the inverse goes into norms and up layers; "
        "auto: where inputs are not rounded");
    v("start", r.start, any_value(),
        "where tuning starts: range of each group, searched range, or compensated rounding");
    v("objective", r.objective, any_value(),
        "loss of a block: plain mean square, positions weighted by 1 / |output|^2, or positions "
        "and channels by the gradients of the original model, which takes a pass backward");
    v("outlier_fraction", r.outlier_fraction, range(0, 0.5),
        "share of the largest errors that the loss of a block leaves out; 0: none");
    v("selection", r.selection, any_value(),
        "state to keep: last step, best on held-out samples, or best mini-batch");
    v("touch_up", r.touch_up, any_value(),
        "tune all scales and norms together at the end; auto: for 4 bits and fewer");
    v("static_kv_dtype", r.static_kv_dtype, any_value(),
        "calibrate scales for a runtime that keeps keys and values in these numbers");
    v("dynamic_max_gap", r.dynamic_max_gap, range(-1, 100000, "steps"),
        "stop a block after this many steps without gain; -1: never");
    v("mimic_reference", r.mimic_reference, any_value(),
        "take the samples in auto-round's order and its derivatives, for comparisons");
}

/// A recipe of recipe_catalog(). Throws InvalidSpec for another name.
Recipe named_recipe(std::string_view name);

/// Makes `recipe` work by an algorithm of algorithm_catalog(), with its amount of calibration data
/// where the algorithm needs any: steps and start change, and steps come back from the default recipe
/// where there were none. Throws InvalidSpec for another name.
void apply_algorithm(Recipe& recipe, std::string_view name);

struct Scheme;

/// Gives `recipe` the options that auto-round's algorithm extension (SignRoundV2, enable_alg_ext)
/// stands for when the model is quantized to `scheme`: searched ranges; no tuning of the ranges of
/// super-blocks; for fewer than 4 bits, or activations of at most 4, a loss without the largest
/// thousandth of the errors. Changes nothing for other schemes, as there. Source: algorithm.md 7.
void apply_algorithm_extension(Recipe& recipe, const Scheme& scheme);

} // namespace bitsmith
