// SPDX-License-Identifier: GPL-3.0-or-later
#include "calib/calibration_set.h"

#include "base/text.h"
#include "calib/prompt_table.h"
#include "calib/text_source.h"
#include "calib/windows.h"
#include "source/model_source.h"
#include "tensor/safetensors_reader.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <set>

namespace bitsmith::calib {

namespace {

/// A text as a list of windows and what to say about it.
struct Windows
{
    std::vector<Tokens> windows;
    std::string counts;
    std::string origin;
    std::vector<std::string> warnings;
};

constexpr std::size_t kPieceBytes = 64 * 1024;

/// Cuts long texts at line ends (or blanks), so that sampling does not always see a file's beginning.
void add_pieces(std::vector<Document>& pieces, Document document)
{
    if (!document.messages.empty() || document.text.size() <= kPieceBytes) {
        pieces.push_back(std::move(document));
        return;
    }
    std::string_view rest = document.text;
    while (!rest.empty()) {
        std::size_t end = std::min(kPieceBytes, rest.size());
        if (end < rest.size()) {
            const std::size_t cut = rest.find_last_of("\n ", end);
            end = cut == std::string_view::npos || cut == 0 ? end : cut + 1;
            while (end < rest.size() && (static_cast<unsigned char>(rest[end]) & 0xC0) == 0x80) {
                ++end;
            }
        }
        pieces.push_back({std::string(rest.substr(0, end)), {}});
        rest.remove_prefix(end);
    }
}

/// Conversations as text: by the chat template, or plain where there is none or it fails.
class ConversationWriter
{
public:
    explicit ConversationWriter(const hf::TextSide& text)
        : text_(text)
    { }

    std::string write(const std::vector<hf::ChatMessage>& messages, bool asks_for_an_answer)
    {
        if (text_.chat_template && failures_ < kMostFailures) {
            try {
                return text_.chat_template->render(messages, asks_for_an_answer);
            } catch (const Error& error) {
                if (error.code() != ErrorCode::UnsupportedModel) {
                    throw;
                }
                reason_ = failures_++ == 0 ? error.what() : reason_;
            }
        }
        std::vector<std::string> parts;
        for (const hf::ChatMessage& message : messages) {
            parts.push_back(message.content);
        }
        return join(parts, "\n\n") + (asks_for_an_answer ? "\n" : "");
    }

    void add_warning(std::vector<std::string>& warnings) const
    {
        if (failures_ > 0) {
            warnings.push_back(concat("calibration: ", reason_,
                failures_ == kMostFailures ? "; conversations are taken as plain text"
                                           : "; such conversations are taken as plain text"));
        }
    }

private:
    /// Then the template is at fault and not the conversation; each failure may cost its time limit.
    static constexpr int kMostFailures = 3;

    const hf::TextSide& text_;
    int failures_ = 0;
    std::string reason_; ///< of the first failure
};

std::string text_of(const Document& document, ConversationWriter& writer)
{
    if (document.messages.empty()) {
        return document.text;
    }
    std::vector<hf::ChatMessage> messages;
    for (const auto& [role, content] : document.messages) {
        messages.push_back({role, content});
    }
    return writer.write(messages, false);
}

/// Row 38 of the bad inputs: the first token of the windows against what the tokenizer does.
void warn_of_prefix(
    const JobSpec& spec, const hf::TextSide& text, std::vector<std::string>& warnings)
{
    if (spec.calibration.prefix == CalibrationPrefix::Auto && text.bos && !text.adds_bos
        && !text.chat_template) {
        warnings.push_back(concat("calibration: the tokenizer names a first token (id ", *text.bos,
            ") but does not add it to a text by itself; the windows begin with it, "
            "--calibration-prefix none leaves it out"));
    }
}

void warn_of_dropped(const WindowCounts& counts, std::vector<std::string>& warnings)
{
    if (counts.too_short > 0) {
        warnings.push_back(concat("calibration: ", counts.too_short, " of ", counts.documents,
            " documents are shorter than a window and were left out; --calibration packed joins "
            "them"));
    }
}

std::string describe(const WindowCounts& counts, std::size_t windows)
{
    return concat(counts.documents, " documents, ", counts.tokens, " tokens, ", counts.too_short,
        " documents too short, ", counts.repetitive, " repetitive windows, ", windows,
        " usable windows");
}

WindowRules rules_for(const JobSpec& spec, const hf::TextSide& text)
{
    WindowRules rules;
    rules.seqlen = spec.recipe.seqlen;
    rules.packing = spec.calibration.packing;
    if (spec.calibration.prefix == CalibrationPrefix::Auto) {
        rules.prefix = text.bos;
    }
    rules.separator = text.eos;
    return rules;
}

Windows windows_from_files(RunContext& context, const JobSpec& spec, const hf::TextSide& text,
    const std::vector<std::string>& files)
{
    std::vector<Document> pieces;
    for (const std::string& file : files) {
        for (Document& document : read_documents(file)) {
            if (spec.calibration.packing == Packing::Packed) {
                add_pieces(pieces, std::move(document));
            } else {
                pieces.push_back(std::move(document));
            }
        }
    }
    context.random("documents").shuffle(pieces);
    WindowCutter cutter(rules_for(spec, text));
    const bool adds_special = spec.calibration.prefix == CalibrationPrefix::None;
    ConversationWriter writer(text);
    for (const Document& piece : pieces) {
        if (static_cast<int64_t>(cutter.windows().size()) >= spec.recipe.nsamples) {
            break;
        }
        context.checkpoint();
        cutter.add(text.tokenizer.encode(text_of(piece, writer), adds_special));
        context.events.emit(StageProgress{Stage::Calibrate,
            std::min<int64_t>(static_cast<int64_t>(cutter.windows().size()), spec.recipe.nsamples),
            spec.recipe.nsamples, "samples"});
    }
    Windows found{cutter.windows(), describe(cutter.counts(), cutter.windows().size()),
        join(files, ", "), {}};
    warn_of_dropped(cutter.counts(), found.warnings);
    writer.add_warning(found.warnings);
    return found;
}

/// Prompts rendered by the chat template (or plain), answered by the model, packed.
Windows windows_from_model(
    RunContext& context, const JobSpec& spec, const hf::TextSide& text, const Sampler& sampler)
{
    constexpr std::size_t kBatch = 32;
    const auto prompts = self_prompts();
    WindowCutter cutter(rules_for(spec, text));
    ConversationWriter writer(text);
    int64_t answers = 0;
    for (std::size_t round = 0;
         static_cast<int64_t>(cutter.windows().size()) < spec.recipe.nsamples; ++round) {
        if (round > 2 + static_cast<std::size_t>(spec.recipe.nsamples)) {
            break; // the model answers with next to nothing
        }
        std::vector<Tokens> batch;
        for (std::size_t i = 0; i < kBatch; ++i) {
            const std::string prompt(prompts[(round * kBatch + i) % prompts.size()]);
            batch.push_back(text.tokenizer.encode(writer.write({{"user", prompt}}, true), false));
        }
        const int64_t missing =
            spec.recipe.nsamples - static_cast<int64_t>(cutter.windows().size());
        const int64_t wanted = missing * spec.recipe.seqlen / static_cast<int64_t>(kBatch) + 32;
        const auto texts = sampler(batch, std::min<int64_t>(wanted, 512));
        for (std::size_t i = 0; i < texts.size(); ++i) {
            Tokens conversation = batch[i];
            conversation.insert(conversation.end(), texts[i].begin(), texts[i].end());
            cutter.add(conversation);
            ++answers;
        }
        context.events.emit(StageProgress{Stage::Calibrate,
            std::min<int64_t>(static_cast<int64_t>(cutter.windows().size()), spec.recipe.nsamples),
            spec.recipe.nsamples, "samples"});
    }
    Windows found{cutter.windows(), describe(cutter.counts(), cutter.windows().size()),
        concat("self, ", answers, " answers of the model"), {}};
    writer.add_warning(found.warnings);
    return found;
}

at::Tensor stack(const std::vector<Tokens>& windows, int64_t count)
{
    const auto seqlen = static_cast<int64_t>(windows.front().size());
    at::Tensor ids = at::empty({count, seqlen}, at::kLong);
    auto* out = ids.data_ptr<int64_t>();
    for (int64_t i = 0; i < count; ++i) {
        const Tokens& window = windows[static_cast<std::size_t>(i)];
        std::copy(window.begin(), window.end(), out + i * seqlen);
    }
    return ids;
}

/// Pre-tokenized windows: "input_ids" int64 or int32 [samples, seqlen].
at::Tensor ids_from_safetensors(const std::string& file, const JobSpec& spec)
{
    const tensor::SafetensorsReader reader(map_file(file));
    at::Tensor ids = reader.load("input_ids").to(at::kLong);
    if (ids.dim() != 2 || ids.size(1) < spec.recipe.seqlen) {
        fail(ErrorCode::ShapeMismatch, "pre-tokenized samples have another length",
            {{"file", file}, {"tensor", "input_ids"}, {"found", concat(ids.sizes())},
                {"allowed", concat("[samples, ", spec.recipe.seqlen, " or more]")}},
            "Set --seqlen to the length of the samples");
    }
    return ids.slice(0, 0, spec.recipe.nsamples).slice(1, 0, spec.recipe.seqlen).contiguous();
}

/// True where a position counts: not padding, not the last position (algorithm.md 1.11).
at::Tensor loss_mask(const at::Tensor& ids, std::optional<int32_t> pad)
{
    at::Tensor mask = at::ones(ids.sizes(), at::kBool);
    if (pad) {
        mask = ids.ne(*pad);
    }
    mask.select(1, ids.size(1) - 1).fill_(false);
    // A sample that is all padding would divide by zero; it counts whole instead.
    const at::Tensor empty = mask.any(1).logical_not();
    return mask.logical_or(empty.unsqueeze(1));
}

void add_warnings(CalibrationSet& set)
{
    if (set.ids.size(0) < set.asked) {
        set.warnings.push_back(concat("calibration: ", set.asked, " samples asked, ",
            set.ids.size(0), " usable; add text or lower --nsamples or --seqlen"));
    }
    std::set<std::vector<int64_t>> distinct;
    for (int64_t i = 0; i < set.ids.size(0); ++i) {
        const at::Tensor row = set.ids[i].contiguous();
        distinct.emplace(row.data_ptr<int64_t>(), row.data_ptr<int64_t>() + row.numel());
    }
    if (static_cast<int64_t>(distinct.size()) < set.ids.size(0)) {
        set.warnings.push_back(
            concat("calibration: ", set.ids.size(0) - static_cast<int64_t>(distinct.size()),
                " samples are copies of others"));
    }
}

} // namespace

CalibrationSet build_calibration_set(RunContext& context, const JobSpec& spec,
    const source::ModelSource& model, const Sampler& sampler)
{
    CalibrationSet set;
    set.asked = spec.recipe.nsamples;
    const std::vector<std::string> files = split(spec.calibration.dataset, ',');
    std::optional<int32_t> pad;
    if (files.size() == 1 && files[0].ends_with(".safetensors")) {
        set.ids = ids_from_safetensors(files[0], spec);
        set.origin = files[0];
    } else {
        const hf::TextSide text = model.load_text();
        pad = text.pad;
        warn_of_prefix(spec, text, set.warnings);
        const bool self = files == std::vector<std::string>{"self"};
        const Windows found = self ? windows_from_model(context, spec, text, sampler)
                                   : windows_from_files(context, spec, text, files);
        if (found.windows.empty()) {
            fail(ErrorCode::InvalidSpec, "no usable calibration sample",
                {{"field", "calibration.dataset"}, {"found", found.counts},
                    {"needed", concat("windows of ", spec.recipe.seqlen, " tokens")}},
                "Lower --seqlen, name more text, or use --calibration packed");
        }
        set.ids = stack(found.windows,
            std::min<int64_t>(static_cast<int64_t>(found.windows.size()), spec.recipe.nsamples));
        set.origin = found.origin;
        set.warnings.insert(set.warnings.end(), found.warnings.begin(), found.warnings.end());
    }
    const int64_t vocab = model.spec.vocab;
    if (set.ids.numel() > 0
        && (set.ids.max().item<int64_t>() >= vocab || set.ids.min().item<int64_t>() < 0)) {
        fail(ErrorCode::InvalidSpec, "calibration tokens lie outside the model's vocabulary",
            {{"field", "calibration.dataset"}, {"found", concat(set.ids.max().item<int64_t>())},
                {"allowed", concat("0 to ", vocab - 1)}},
            "The tokenizer does not belong to this model");
    }
    set.mask = loss_mask(set.ids, pad);
    set.holdout =
        static_cast<int64_t>(static_cast<double>(set.ids.size(0)) * spec.calibration.holdout);
    add_warnings(set);
    context.events.emit(CalibrationReady{set.asked, set.ids.size(0) - set.holdout, set.holdout,
        set.ids.size(1), set.ids.numel(), set.origin});
    return set;
}

} // namespace bitsmith::calib
