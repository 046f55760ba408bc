// SPDX-License-Identifier: GPL-3.0-or-later
#include "calib/text_windows.h"

#include "base/text.h"
#include "calib/prompt_table.h"
#include "calib/text_source.h"
#include "tensor/safetensors_reader.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <limits>

namespace bitsmith::calib {

namespace {

constexpr std::size_t kPieceBytes = 64 * 1024;

/// Cuts long texts at line ends (or blanks), so that sampling does not always see a file's
/// beginning.
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
    /// Then the template is at fault and not the conversation; each failure may cost its time
    /// limit.
    static constexpr int kMostFailures = 3;

    const hf::TextSide& text_;
    int failures_ = 0;
    std::string reason_; ///< of the first failure
};

std::string text_of(const Document& document, const DatasetEntry& entry, ConversationWriter& writer)
{
    if (document.messages.empty() && !entry.apply_chat_template) {
        return document.text;
    }
    std::vector<hf::ChatMessage> messages;
    for (const auto& [role, content] : document.messages) {
        messages.push_back({role, content});
    }
    if (!messages.empty()) {
        return writer.write(messages, false);
    }
    if (!entry.system_prompt.empty()) {
        messages.push_back({"system", entry.system_prompt});
    }
    messages.push_back({"user", document.text});
    return writer.write(messages, true);
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

WindowRules rules_for(const JobSpec& spec, const hf::TextSide& text, Packing packing)
{
    WindowRules rules;
    rules.seqlen = spec.recipe.seqlen;
    rules.packing = packing;
    if (spec.calibration.prefix == CalibrationPrefix::Auto) {
        rules.prefix = text.bos;
    }
    rules.separator = text.eos;
    return rules;
}

std::vector<Document> shuffled_pieces(
    RunContext& context, const std::string& file, Packing packing, uint64_t index)
{
    std::vector<Document> pieces;
    for (Document& document : read_documents(file)) {
        if (packing == Packing::Packed) {
            add_pieces(pieces, std::move(document));
        } else {
            pieces.push_back(std::move(document));
        }
    }
    context.random("documents", index).shuffle(pieces);
    return pieces;
}

int64_t count_of(const WindowCutter& cutter)
{
    return static_cast<int64_t>(cutter.windows().size());
}

void emit_progress(RunContext& context, const WindowCutter& cutter, int64_t limit)
{
    context.events.emit(
        StageProgress{Stage::Calibrate, std::min(count_of(cutter), limit), limit, "samples"});
}

SourceWindows taken(const WindowCutter& cutter, int64_t limit, std::string origin)
{
    std::vector<Tokens> windows = cutter.windows();
    SourceWindows found{{}, describe(cutter.counts(), windows.size()), std::move(origin), {}};
    windows.resize(static_cast<std::size_t>(std::min(count_of(cutter), limit)));
    found.windows = std::move(windows);
    return found;
}

} // namespace

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

SourceWindows windows_from_file(RunContext& context, const JobSpec& spec, const hf::TextSide& text,
    const DatasetEntry& entry, uint64_t index, int64_t limit)
{
    const Packing packing = entry.packing.value_or(spec.calibration.packing);
    WindowCutter cutter(rules_for(spec, text, packing));
    const bool adds_special = spec.calibration.prefix == CalibrationPrefix::None;
    ConversationWriter writer(text);
    for (const Document& piece : shuffled_pieces(context, entry.name, packing, index)) {
        if (count_of(cutter) >= limit) {
            break;
        }
        context.checkpoint();
        cutter.add(text.tokenizer.encode(text_of(piece, entry, writer), adds_special));
        emit_progress(context, cutter, limit);
    }
    SourceWindows found = taken(cutter, limit, entry.name);
    warn_of_dropped(cutter.counts(), found.warnings);
    writer.add_warning(found.warnings);
    if (entry.apply_chat_template && !text.chat_template) {
        found.warnings.push_back(
            concat("calibration: the model has no chat template; the texts of ", entry.name,
                " are taken as they are"));
    }
    return found;
}

SourceWindows windows_from_model(RunContext& context, const JobSpec& spec, const hf::TextSide& text,
    const Sampler& sampler, int64_t limit)
{
    constexpr std::size_t kBatch = 32;
    const auto prompts = self_prompts();
    WindowCutter cutter(rules_for(spec, text, spec.calibration.packing));
    ConversationWriter writer(text);
    int64_t answers = 0;
    for (std::size_t round = 0; count_of(cutter) < limit; ++round) {
        if (round > 2 + static_cast<std::size_t>(limit)) {
            break; // the model answers with next to nothing
        }
        std::vector<Tokens> batch;
        for (std::size_t i = 0; i < kBatch; ++i) {
            const std::string prompt(prompts[(round * kBatch + i) % prompts.size()]);
            batch.push_back(text.tokenizer.encode(writer.write({{"user", prompt}}, true), false));
        }
        const int64_t missing = limit - count_of(cutter);
        const int64_t wanted = missing * spec.recipe.seqlen / static_cast<int64_t>(kBatch) + 32;
        const auto texts = sampler(batch, std::min<int64_t>(wanted, 512));
        for (std::size_t i = 0; i < texts.size(); ++i) {
            Tokens conversation = batch[i];
            conversation.insert(conversation.end(), texts[i].begin(), texts[i].end());
            cutter.add(conversation);
            ++answers;
        }
        emit_progress(context, cutter, limit);
    }
    SourceWindows found = taken(cutter, limit, concat("self, ", answers, " answers of the model"));
    writer.add_warning(found.warnings);
    return found;
}

SourceWindows windows_from_ids(const std::string& file, const JobSpec& spec, int64_t limit)
{
    const tensor::SafetensorsReader reader(map_file(file));
    // What 32 bits cannot hold stays outside any vocabulary.
    const at::Tensor ids = reader.load("input_ids")
                               .to(at::kLong)
                               .clamp(-1, std::numeric_limits<int32_t>::max())
                               .to(at::kInt);
    if (ids.dim() != 2 || ids.size(1) < spec.recipe.seqlen) {
        fail(ErrorCode::ShapeMismatch, "pre-tokenized samples have another length",
            {{"file", file}, {"tensor", "input_ids"}, {"found", concat(ids.sizes())},
                {"allowed", concat("[samples, ", spec.recipe.seqlen, " or more]")}},
            "Set --seqlen to the length of the samples");
    }
    SourceWindows found{{}, concat(ids.size(0), " samples"), file, {}};
    for (int64_t i = 0; i < std::min(ids.size(0), limit); ++i) {
        const at::Tensor row = ids[i].slice(0, 0, spec.recipe.seqlen).contiguous();
        const int32_t* first = row.const_data_ptr<int32_t>();
        found.windows.emplace_back(first, first + row.numel());
    }
    return found;
}

} // namespace bitsmith::calib
