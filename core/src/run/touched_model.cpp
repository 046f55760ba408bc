// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/touched_model.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith {

namespace {

class Overlay final : public tensor::TensorSource
{
public:
    Overlay(std::shared_ptr<const tensor::TensorSource> below, quant::NamedNorms above)
        : below_(std::move(below))
        , above_(std::move(above))
    { }
    const std::vector<tensor::TensorEntry>& entries() const override { return below_->entries(); }
    const tensor::TensorEntry* find(std::string_view name) const override
    {
        return below_->find(name);
    }
    at::Tensor load(std::string_view name) const override
    {
        const auto found = above_.find(name);
        return found == above_.end() ? below_->load(name) : found->second.clone();
    }
    void check_unchanged() const override { below_->check_unchanged(); }

private:
    std::shared_ptr<const tensor::TensorSource> below_;
    quant::NamedNorms above_;
};

} // namespace

std::shared_ptr<const source::ModelSource> touched_model(
    const std::shared_ptr<const source::ModelSource>& model, const RunFolder& folder)
{
    const auto norms = folder.changed_norms();
    if (norms.empty()) {
        return model;
    }
    for (const auto& [name, values] : norms) {
        const at::Tensor original = model->tensors->load(name);
        if (original.sizes() != values.sizes() || original.scalar_type() != values.scalar_type()) {
            fail(ErrorCode::FileCorrupt, "a norm of the run does not fit the model",
                {{"run", folder.folder().string()}, {"tensor", name}});
        }
    }
    auto changed = std::make_shared<source::ModelSource>(*model);
    changed->tensors = std::make_shared<Overlay>(model->tensors, norms);
    return changed;
}

} // namespace bitsmith
