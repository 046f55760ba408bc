// SPDX-License-Identifier: GPL-3.0-or-later
// What quantization_config of compressed-tensors says about inputs of layers and the key/value
// cache (formats.md 5.1, 5.9).
#pragma once

#include "base/json_io.h"
#include "source/name_pattern.h"
#include "source/runtime_rounding.h"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bitsmith::source {

class CompressedInputs
{
public:
    /// `quantization_config` has been read by read_compressed_config. Throws UnsupportedFormat for
    /// patterns and values that cannot be read; a description without inputs is not looked at.
    explicit CompressedInputs(const Json& quantization_config);

    /// Of the group that the layer belongs to: exact names first, then patterns, then the class
    /// Linear. A layer of no group, or of one without inputs, stays.
    void set(StoredLayer& layer) const;

private:
    void add_group(const Json& group, const std::string& field);
    const Json* arguments_of(const std::string& layer) const;

    std::vector<Json> arguments_; ///< QuantizationArgs of the inputs of each group; null: none
    std::map<std::string, std::size_t, std::less<>> names_;
    std::vector<std::pair<NamePattern, std::size_t>> patterns_;
    std::optional<std::size_t> linear_;
};

/// `kv_cache_scheme`.
CacheRule compressed_cache(const Json& quantization_config);

} // namespace bitsmith::source
