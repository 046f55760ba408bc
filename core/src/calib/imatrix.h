// SPDX-License-Identifier: GPL-3.0-or-later
// Importance matrices of llama.cpp ("imatrix"): how much each input column of each weight carries.
// Source: formats.md 6.11.
#pragma once

#include "base/file_ops.h"
#include "source/model_source.h"

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

namespace bitsmith::calib {

/// Squared inputs of a weight, or of the weights of all experts of a block, which GGUF stacks.
struct InputSquares
{
    at::Tensor sums; ///< fp32 [matrices · columns]: Σ x², matrix after matrix
    /// fp32 [matrices], or [1] for all of them: how many inputs a sum is over.
    at::Tensor counts;
};

struct Imatrix
{
    /// By the name of the tensor in GGUF ("blk.0.attn_q.weight").
    std::map<std::string, InputSquares, std::less<>> weights;
    std::vector<std::string> datasets; ///< files that the text came from
    int64_t chunks = 0; ///< pieces of text that were read
    int64_t chunk_tokens = 0; ///< tokens of a piece; 0: not known
};

/// Reads both forms: a GGUF file of the type "imatrix", where each weight T has T.in_sum2 and
/// T.counts, and the older one without a magic number:
///
///     i32 n_entries
///     entry[n_entries]:  i32 length, name, i32 calls, i32 n_values, f32[n_values]: means · calls
///     optional:          i32 chunks, i32 length, dataset name
///
/// Memory grows with the bytes of the file, never with a number that it states. Throws
/// FileNotFound, and FileCorrupt naming file and field for a file that ends too early, impossible
/// counts and widths, sums that are negative or not finite, and weights given twice.
Imatrix read_imatrix(const std::filesystem::path& file);
Imatrix read_imatrix(const std::shared_ptr<const ByteSource>& bytes);

/// Writes the GGUF form at once. Entries as imatrix_of makes them: as many counts as matrices.
void write_imatrix(FileSystem& fs, const std::filesystem::path& file, const Imatrix& imatrix);

/// Mean square of each input column, fp32 [columns], by layer of the model: the importance of
/// quant::Codec::search. All 1 for an expert that no token reached, as llama.cpp has it. Layers
/// that the matrix does not know are absent. Throws UnsupportedModel for a family without GGUF
/// names, ShapeMismatch naming a layer of another width, InvalidSpec when no layer of the model is
/// known.
std::map<std::string, at::Tensor> layer_importance(
    const Imatrix& imatrix, const source::ModelSource& model);

/// The other way: `layers` has sums [columns] and counts [1] by layer. Experts that are missing
/// count as never reached. Datasets and chunks are the caller's to set. Throws UnsupportedModel for
/// a family or a layer without a GGUF name.
Imatrix imatrix_of(
    const std::map<std::string, InputSquares>& layers, const source::ModelSource& model);

} // namespace bitsmith::calib
