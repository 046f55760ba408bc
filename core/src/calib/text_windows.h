// SPDX-License-Identifier: GPL-3.0-or-later
// The windows of one source of calibration text.
#pragma once

#include "base/context.h"
#include "calib/calibration_set.h"
#include "calib/dataset_entry.h"
#include "calib/windows.h"
#include "hf/text_side.h"

namespace bitsmith::calib {

/// What came of a source.
struct SourceWindows
{
    std::vector<Tokens> windows; ///< of recipe.seqlen tokens
    std::string counts; ///< of every filter stage, for messages
    std::string origin; ///< for people
    std::vector<std::string> warnings;
};

/// Reads, shuffles and cuts a text file until there are `limit` windows. `index` of the source
/// keeps its shuffle apart from that of others. Emits StageProgress. Throws what read_documents
/// throws.
SourceWindows windows_from_file(RunContext& context, const JobSpec& spec, const hf::TextSide& text,
    const DatasetEntry& entry, uint64_t index, int64_t limit);

/// Prompts rendered by the chat template (or plain), answered by the model, packed.
SourceWindows windows_from_model(RunContext& context, const JobSpec& spec, const hf::TextSide& text,
    const Sampler& sampler, int64_t limit);

/// Pre-tokenized windows: "input_ids" int64 or int32 [samples, seqlen or more]. Throws
/// ShapeMismatch.
SourceWindows windows_from_ids(const std::string& file, const JobSpec& spec, int64_t limit);

/// Says when the tokenizer does not begin a text as the windows begin (row 38 of the bad inputs).
void warn_of_prefix(
    const JobSpec& spec, const hf::TextSide& text, std::vector<std::string>& warnings);

} // namespace bitsmith::calib
