// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/text/field_text.h"

#include "widgets/text/format_text.h"

#include <QCoreApplication>

#include <array>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

namespace {

struct Title
{
    std::string_view key;
    const char* text;
};

#define BITSMITH_FIELD(key, text)                                                                  \
    Title                                                                                          \
    {                                                                                              \
        key, QT_TRANSLATE_NOOP("fields", text)                                                     \
    }

constexpr std::array kTitles = {
    BITSMITH_FIELD("name", "Recipe"),
    BITSMITH_FIELD("iters", "Steps per block"),
    BITSMITH_FIELD("nsamples", "Samples"),
    BITSMITH_FIELD("seqlen", "Tokens per sample"),
    BITSMITH_FIELD("batch_size", "Samples per step"),
    BITSMITH_FIELD("gradient_accumulate_steps", "Batches per step"),
    BITSMITH_FIELD("lr", "Learning rate"),
    BITSMITH_FIELD("minmax_lr", "Range learning rate"),
    BITSMITH_FIELD("enable_minmax_tuning", "Tune ranges"),
    BITSMITH_FIELD("enable_quanted_input", "Quantized input"),
    BITSMITH_FIELD("smoothing", "Smoothing"),
    BITSMITH_FIELD("start", "Start from"),
    BITSMITH_FIELD("objective", "Loss"),
    BITSMITH_FIELD("static_kv_dtype", "Key/value cache"),
    BITSMITH_FIELD("outlier_fraction", "Errors left out"),
    BITSMITH_FIELD("selection", "State to keep"),
    BITSMITH_FIELD("touch_up", "Touch up at the end"),
    BITSMITH_FIELD("dynamic_max_gap", "Stop early after"),
    BITSMITH_FIELD("mimic_reference", "Order of auto-round"),
    BITSMITH_FIELD("bits", "Bits"),
    BITSMITH_FIELD("group_size", "Group size"),
    BITSMITH_FIELD("sym", "Symmetric"),
    BITSMITH_FIELD("dataset", "Text"),
    BITSMITH_FIELD("packing", "Short texts"),
    BITSMITH_FIELD("prefix", "Window start"),
    BITSMITH_FIELD("holdout", "Held-out share"),
    BITSMITH_FIELD("imatrix", "Importance matrix"),
    BITSMITH_FIELD("threads", "CPU threads"),
    BITSMITH_FIELD("seed", "Seed"),
    BITSMITH_FIELD("tokens", "Tokens"),
    BITSMITH_FIELD("max_shard_gb", "Largest shard, GB"),
    BITSMITH_FIELD("max_gguf_gb", "Largest GGUF file, GB"),
    BITSMITH_FIELD("license", "Licence"),
    BITSMITH_FIELD("source", "Original model"),
    BITSMITH_FIELD("notes", "Notes, Markdown"),
    BITSMITH_FIELD("keep_inputs", "Keep block inputs"),
};

constexpr std::array kChoices = {
    BITSMITH_FIELD("smoothing.off", "Off"),
    BITSMITH_FIELD("smoothing.auto", "Where inputs are not rounded"),
    BITSMITH_FIELD("smoothing.awq", "Channels scaled (AWQ)"),
    BITSMITH_FIELD("start.minmax", "Range of each group"),
    BITSMITH_FIELD("start.search", "Searched range"),
    BITSMITH_FIELD("start.compensated", "Compensated rounding"),
    BITSMITH_FIELD("static_kv_dtype.none", "As the model"),
    BITSMITH_FIELD("static_kv_dtype.fp8", "FP8, calibrated"),
    BITSMITH_FIELD("objective.mse", "Mean square"),
    BITSMITH_FIELD("objective.inverse-norm", "Positions weighted by 1/|output|²"),
    BITSMITH_FIELD("objective.fisher", "Positions and channels weighted by gradients"),
    BITSMITH_FIELD("touch_up.auto", "For 4 bits and fewer"),
    BITSMITH_FIELD("touch_up.on", "On"),
    BITSMITH_FIELD("touch_up.off", "Off"),
    BITSMITH_FIELD("selection.last", "Last step"),
    BITSMITH_FIELD("selection.holdout", "Best on held-out samples"),
    BITSMITH_FIELD("selection.minibatch", "Best mini-batch"),
    BITSMITH_FIELD("packing.packed", "Join into full windows"),
    BITSMITH_FIELD("packing.filtered", "Drop short documents"),
    BITSMITH_FIELD("prefix.auto", "As the runtime does"),
    BITSMITH_FIELD("prefix.none", "Nothing added"),
};

#undef BITSMITH_FIELD

template <class Table>
const char* find(const Table& table, std::string_view key)
{
    for (const Title& title : table) {
        if (title.key == key) {
            return title.text;
        }
    }
    return nullptr;
}

QString asWords(std::string_view key)
{
    QString words = toQString(key).replace(QLatin1Char('_'), QLatin1Char(' '));
    if (!words.isEmpty()) {
        words[0] = words[0].toUpper();
    }
    return words;
}

} // namespace

QString fieldTitle(std::string_view key)
{
    const char* text = find(kTitles, key);
    return text != nullptr ? QCoreApplication::translate("fields", text) : asWords(key);
}

QString fieldHelp(std::string_view help)
{
    const std::string text(help);
    return QCoreApplication::translate("fields", text.c_str());
}

QString smallestMeaning(std::string_view key)
{
    if (key == "dynamic_max_gap") {
        return QCoreApplication::translate("fields", "never");
    }
    return key == "threads" ? QCoreApplication::translate("fields", "all") : QString();
}

QString choiceTitle(std::string_view key, std::string_view choice)
{
    const std::string path = std::string(key) + "." + std::string(choice);
    const char* text = find(kChoices, path);
    return text != nullptr ? QCoreApplication::translate("fields", text) : asWords(choice);
}

} // namespace bitsmith::ui
