// SPDX-License-Identifier: GPL-3.0-or-later
// Ids of special tokens and whether text begins and ends with them (formats.md 6.7).
#pragma once

#include "base/json_io.h"
#include "tensor/gguf_writer.h"

#include <map>
#include <string>
#include <vector>

namespace bitsmith::exporting {

struct SpecialTokenInput
{
    const std::map<std::string, std::string>& files; ///< side files by name
    const Json& config; ///< config.json
    const Json& tokenizer; ///< tokenizer.json
    const std::vector<std::string>& tokens; ///< by id
};

/// Adds tokenizer.ggml.{bos,eos,unknown,padding}_token_id and add_{bos,eos}_token. Texts of
/// tokenizer_config.json first, then the numbers of config.json and generation_config.json.
void add_special_tokens(tensor::GgufFields& fields, const SpecialTokenInput& input);

} // namespace bitsmith::exporting
