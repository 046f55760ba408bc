// SPDX-License-Identifier: GPL-3.0-or-later
// The file or files of one GGUF model. A split model is `NAME-00001-of-0000N.gguf` and its
// siblings; each part is a whole GGUF file with split.no (from 0), split.count and
// split.tensors.count, and the first one holds the model's metadata (formats.md 6.9).
#pragma once

#include "tensor/gguf_reader.h"

#include <filesystem>
#include <map>
#include <vector>

namespace bitsmith::source {

/// Where a tensor is.
struct GgufLocation
{
    const tensor::GgufReader* part = nullptr;
    const tensor::GgufTensor* tensor = nullptr;
};

class GgufParts
{
public:
    /// Parts in order. Throws FileCorrupt when they do not belong together.
    explicit GgufParts(const std::vector<std::shared_ptr<const ByteSource>>& parts);

    /// Maps `file`, and its siblings when it says that it is one part of several; any part may be
    /// named. Throws FileNotFound with the first parts that are missing.
    static std::shared_ptr<const GgufParts> open(const std::filesystem::path& file);

    const tensor::GgufMetadata& metadata() const { return readers_.front().metadata(); }
    const std::vector<tensor::GgufReader>& readers() const { return readers_; }
    /// By GGUF name.
    const std::map<std::string, GgufLocation, std::less<>>& tensors() const { return tensors_; }
    const tensor::GgufTensor* find(std::string_view name) const;
    void check_unchanged() const;

private:
    std::vector<tensor::GgufReader> readers_;
    std::map<std::string, GgufLocation, std::less<>> tensors_;
};

} // namespace bitsmith::source
