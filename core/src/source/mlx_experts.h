// SPDX-License-Identifier: GPL-3.0-or-later
// Mixtures of experts as mlx-lm stores them (formats.md 8): a matrix of all experts of a block is
// one module, "mlp.switch_mlp.up_proj", whose tensors have the experts as first dimension. Seen
// from outside every expert has a module of its own, "mlp.experts.{e}.up_proj"; other tensors pass
// through.
#pragma once

#include "tensor/tensor_source.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bitsmith::source {

class MlxExperts final : public tensor::TensorSource
{
public:
    /// Throws FileCorrupt for a tensor of experts without a dimension for them, and for an expert
    /// that is stored twice.
    explicit MlxExperts(std::shared_ptr<const tensor::TensorSource> stored);

    const std::vector<tensor::TensorEntry>& entries() const override { return entries_; }
    const tensor::TensorEntry* find(std::string_view name) const override;
    /// Reads one expert only.
    at::Tensor load(std::string_view name) const override;
    void check_unchanged() const override { stored_->check_unchanged(); }

    /// Name in the file of the tensor that `name` is, or is a part of.
    const std::string& stored_name(std::string_view name) const;

private:
    struct Place
    {
        const tensor::TensorEntry* stored;
        int64_t expert; ///< -1: the whole tensor
    };

    void put(tensor::TensorEntry entry, const Place& place);
    /// Throws MissingTensor.
    const Place& place_of(std::string_view name) const;

    std::shared_ptr<const tensor::TensorSource> stored_;
    std::vector<tensor::TensorEntry> entries_;
    std::vector<Place> places_; ///< of the entries
    std::map<std::string, std::size_t, std::less<>> index_;
};

} // namespace bitsmith::source
