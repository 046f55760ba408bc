// SPDX-License-Identifier: GPL-3.0-or-later
// Tensors of a GGUF model under their Hugging Face names, decoded and with the converter's changes
// undone (formats.md 6.5, 6.6).
#pragma once

#include "source/gguf_names.h"
#include "source/gguf_parts.h"
#include "tensor/tensor_source.h"

#include <memory>

namespace bitsmith::source {

class GgufTensors : public tensor::TensorSource
{
public:
    /// Throws UnsupportedModel for a tensor that the family does not have, UnsupportedFormat for a
    /// type that is not decoded, ShapeMismatch when heads or experts do not divide a tensor.
    GgufTensors(std::shared_ptr<const GgufParts> parts, const GgufFamily& family);

    const std::vector<tensor::TensorEntry>& entries() const override { return entries_; }
    const tensor::TensorEntry* find(std::string_view name) const override;
    at::Tensor load(std::string_view name) const override;
    void check_unchanged() const override { parts_->check_unchanged(); }

private:
    /// How an entry comes out of the file.
    struct Item
    {
        GgufLocation location;
        int64_t rotary_heads = 0; ///< > 0: rows are interleaved pairs of this many heads
        bool minus_one = false;
        int64_t slice = 0; ///< of `slices` equal parts along the outermost dimension
        int64_t slices = 1;
    };

    void add_rule(const std::string& gguf, const std::string& hf, GgufRole role);
    void add_entry(std::string name, std::vector<int64_t> shape, const Item& item);
    Item make_item(const GgufLocation& location, GgufRole role) const;
    /// `dimensions`: 3 for matrices, 2 for biases.
    void add_experts(const std::string& hf, const GgufLocation& location, std::size_t dimensions);
    void check_all_used() const;

    std::shared_ptr<const GgufParts> parts_;
    const GgufFamily& family_;
    std::vector<tensor::TensorEntry> entries_;
    std::vector<Item> items_;
    std::map<std::string, std::size_t, std::less<>> index_;
};

} // namespace bitsmith::source
