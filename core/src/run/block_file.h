// SPDX-License-Identifier: GPL-3.0-or-later
// blocks/NNNN.safetensors: the finished layers of one block.
//
// Tensors per layer L: "L.codes" uint8 [rows, columns], "L.scales" [rows, groups], "L.zeros" where
// the scheme has them; "L.column_factors" and "L.row_factors" fp32 where it was smoothed. Behind them
// the norms that smoothing changed, "NORM.weight", by name. Metadata: "block" is JSON {"summary":
// BlockFinished, "layers": [{"name", "scheme", "errors"}], "kept": [{"name", "reason"}] of planned
// layers that are not there, "key_max", "value_max": null unless the cache is quantized}, "crc32"
// covers that text and the bytes of all tensors in order.
#pragma once

#include "base/file_ops.h"
#include "tensor/safetensors_reader.h"
#include "tune/block_tuner.h"

#include <filesystem>

namespace bitsmith {

/// Published by rename: the file is whole or absent. Throws WriteFailed.
void publish_block_file(
    FileSystem& fs, const std::filesystem::path& file, const tune::BlockResult& result);

class BlockFile
{
public:
    /// Throws FileNotFound, FileCorrupt; checks the sum over all bytes.
    explicit BlockFile(const std::filesystem::path& file);

    const BlockFinished& summary() const { return summary_; }
    const std::vector<LayerFinished>& errors() const { return errors_; }
    const std::vector<tune::KeptLayer>& kept() const { return kept_; }
    quant::CacheMaxima cache() const;
    quant::NamedNorms norms() const;
    /// Of smoothing; undefined for a layer that was not smoothed.
    tune::WeightFactors factors(std::string_view layer) const;
    bool contains(std::string_view layer) const;
    /// Throws MissingTensor. The tensors own their memory.
    quant::QuantizedWeight load(std::string_view layer) const;

private:
    void check_sum(const std::string& text) const; ///< needs errors_
    std::vector<std::string> norm_names() const; ///< sorted

    std::string file_;
    std::shared_ptr<const tensor::SafetensorsReader> reader_;
    BlockFinished summary_;
    std::vector<tune::KeptLayer> kept_;
    std::optional<double> key_max_, value_max_; ///< of the cache
    std::vector<LayerFinished> errors_;
    std::vector<Scheme> schemes_; ///< same order as errors_
};

} // namespace bitsmith
