// SPDX-License-Identifier: GPL-3.0-or-later
// What the user asks for. Every section is a plain struct whose fields describe themselves
// (fields.h).
#pragma once

#include <bitsmith/plan.h>
#include <bitsmith/recipe.h>

#include <optional>
#include <string>
#include <vector>

namespace bitsmith {

struct ModelSection
{
    std::string path; ///< HF folder, .gguf file, Hub id, or "modelscope:org/name"

    bool operator==(const ModelSection&) const = default;
};

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, ModelSection>
void visit_fields(Visitor& v, Self& s)
{
    v("path", s.path, any_value(), "model folder, .gguf file, or Hub id");
}

struct SchemeSection
{
    std::string scheme = "W4A16"; ///< name; the fields below change single values of it
    std::optional<int64_t> bits;
    std::optional<int64_t> group_size;
    std::optional<bool> sym;
    std::vector<Override> overrides;
    std::vector<std::string> keep; ///< patterns of layers that stay at 16 bits
    bool quant_lm_head = false;

    bool operator==(const SchemeSection&) const = default;
};

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, SchemeSection>
void visit_fields(Visitor& v, Self& s)
{
    v("scheme", s.scheme, any_value(), "number format of all layers, see 'list schemes'");
    v("bits", s.bits, range(2, 8, "bits"), "bits per weight, instead of the scheme's");
    v("group_size", s.group_size, range(-1, 65536, "columns"),
        "input columns that share a scale, instead of the scheme's; -1: one group per row");
    v("sym", s.sym, any_value(), "symmetric codes, instead of the scheme's");
    v("overrides", s.overrides, any_value(), "rules PATTERN=SCHEME; later rules win");
    v("keep", s.keep, any_value(), "patterns of layers that stay at 16 bits");
    v("quant_lm_head", s.quant_lm_head, any_value(), "quantize the output head too");
}

/// How texts become calibration windows.
enum class Packing
{
    Packed, ///< documents joined and cut into full windows
    Filtered, ///< documents shorter than seqlen are dropped, others cut (the reference's behaviour)
};
template <>
struct EnumNames<Packing>
{
    static constexpr std::array<std::string_view, 2> names = {"packed", "filtered"};
};

enum class CalibrationPrefix
{
    Auto,
    None
};
template <>
struct EnumNames<CalibrationPrefix>
{
    static constexpr std::array<std::string_view, 2> names = {"auto", "none"};
};

struct CalibrationSection
{
    std::string dataset =
        "self"; ///< "self", a path (.txt, .json, .jsonl, .safetensors with input_ids), or several of
    ///< them with options, "a.txt,b.jsonl:num=32,self" (calib/dataset_entry.h)
    Packing packing = Packing::Packed;
    CalibrationPrefix prefix = CalibrationPrefix::Auto;
    double holdout = 0.125; ///< share of the windows kept out of tuning to judge it
    std::string imatrix; ///< importance matrix of llama.cpp; empty: importance is measured

    bool operator==(const CalibrationSection&) const = default;
};

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, CalibrationSection>
void visit_fields(Visitor& v, Self& s)
{
    v("dataset", s.dataset, any_value(),
        "calibration text: self (the model writes it), files (.txt .json .jsonl, or .safetensors "
        "with input_ids), or a mixture such as a.txt,b.jsonl:num=32,self");
    v("packing", s.packing, any_value(), "join documents and cut full windows, or drop short ones");
    v("prefix", s.prefix, any_value(), "begin every window as the runtime does (BOS), or not");
    v("holdout", s.holdout, range(0, 0.5), "share of the samples kept out of tuning to judge it");
    v("imatrix", s.imatrix, any_value(),
        "importance matrix (.dat, .imatrix, .gguf) that weighs the search of ranges in place of "
        "the calibration inputs");
}

/// How an export is cut into files, and what it says about itself. Empty texts: what is known of
/// the model (export_facts, export_offer.h).
struct ExportDetails
{
    double max_shard_gb = 5; ///< of safetensors
    double max_gguf_gb = 50; ///< what the Hub takes; runtimes other than llama.cpp want one file
    std::string model_name;
    std::string author;
    std::string license; ///< as the Hub or SPDX names it, "apache-2.0"
    std::string source; ///< Hub id or address of the original model
    std::string notes; ///< Markdown; on the model card only

    bool operator==(const ExportDetails&) const = default;
};

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, ExportDetails>
void visit_fields(Visitor& v, Self& s)
{
    v("max_shard_gb", s.max_shard_gb, range(0.001, 1000, "GB"), "largest shard of safetensors");
    v("max_gguf_gb", s.max_gguf_gb, range(0.001, 10000, "GB"),
        "largest GGUF file; a larger model becomes several");
    v("model_name", s.model_name, any_value(),
        "name on the model card and in a GGUF file; empty: that of the folder or file");
    v("author", s.author, any_value(), "author on the model card and in a GGUF file");
    v("license", s.license, any_value(),
        "licence on the model card and in a GGUF file; empty: that of the model's own card");
    v("source", s.source, any_value(),
        "Hub id or address of the original model; empty: its Hub id where it was fetched from "
        "there");
    v("notes", s.notes, any_value(), "further text on the model card, in Markdown");
}

struct ExportSection : ExportDetails
{
    std::vector<std::string> formats = {"auto_round"};
    std::string output; ///< folder; empty: beside the run

    bool operator==(const ExportSection&) const = default;
};

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, ExportSection>
void visit_fields(Visitor& v, Self& s)
{
    using Details = std::conditional_t<std::is_const_v<Self>, const ExportDetails, ExportDetails>;
    v("formats", s.formats, any_value(), "output formats, see 'list formats'");
    v("output", s.output, any_value(), "output folder");
    visit_fields(v, static_cast<Details&>(s));
}

struct EvaluationSection
{
    std::vector<std::string> metrics; ///< "kld", "ppl"
    std::string text; ///< UTF-8 file; empty: held-out calibration windows
    int64_t tokens = 4096;
    int64_t seqlen = 512;

    bool operator==(const EvaluationSection&) const = default;
};

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, EvaluationSection>
void visit_fields(Visitor& v, Self& s)
{
    v("metrics", s.metrics, any_value(), "measures taken after tuning: kld, ppl");
    v("text", s.text, any_value(), "text file to measure on; empty: held-out calibration text");
    v("tokens", s.tokens, range(1, 1e9, "tokens"), "tokens to measure on");
    v("seqlen", s.seqlen, range(2, 1048576, "tokens"), "window of the measurement");
}

struct RuntimeSection
{
    std::string device = "auto"; ///< cpu, cuda, cuda:N, auto
    int64_t threads = 0; ///< 0: all
    int64_t seed = 42;
    std::string run_dir; ///< folder of the run; empty: under the user's data folder
    bool keep_inputs = true; ///< keep block inputs on disk so that resume is exact and fast

    bool operator==(const RuntimeSection&) const = default;
};

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, RuntimeSection>
void visit_fields(Visitor& v, Self& s)
{
    v("device", s.device, any_value(), "cpu, cuda, cuda:N or auto");
    v("threads", s.threads, range(0, 4096), "CPU threads; 0: all");
    v("seed", s.seed, range(0, 9e15), "random seed");
    v("run_dir", s.run_dir, any_value(), "folder of the run");
    v("keep_inputs", s.keep_inputs, any_value(),
        "keep the inputs of the next block on disk, for exact resume");
}

/// A whole job as the user wrote it; complete when saved.
struct JobSpec
{
    ModelSection model;
    SchemeSection scheme;
    Recipe recipe;
    CalibrationSection calibration;
    ExportSection exports;
    EvaluationSection evaluation;
    RuntimeSection runtime;

    bool operator==(const JobSpec&) const = default;
};

inline constexpr int64_t kJobSchemaVersion = 1;

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, JobSpec>
void visit_fields(Visitor& v, Self& s)
{
    v("model", s.model, any_value(), "model");
    v("scheme", s.scheme, any_value(), "scheme");
    v("recipe", s.recipe, any_value(), "recipe");
    v("calibration", s.calibration, any_value(), "calibration");
    v("exports", s.exports, any_value(), "exports");
    v("evaluation", s.evaluation, any_value(), "evaluation");
    v("runtime", s.runtime, any_value(), "runtime");
}

/// Sets every option whose default differs from the reference to the reference's behaviour.
void apply_reference_mode(JobSpec& spec);

} // namespace bitsmith
