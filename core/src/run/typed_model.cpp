// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/typed_model.h"

#include "export/config_writer.h"
#include "tensor/dtype.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <map>
#include <numeric>

namespace bitsmith {

namespace {

/// Types that safetensors has no word for are quantized ones, which arrive decoded.
bool is_float(const tensor::TensorEntry& entry)
{
    const auto stored = tensor::scalar_type_from(entry.dtype);
    return !stored || c10::isFloatingType(*stored);
}

class TypedTensors final : public tensor::TensorSource
{
public:
    TypedTensors(std::shared_ptr<const tensor::TensorSource> below, c10::ScalarType type)
        : below_(std::move(below))
        , type_(type)
        , entries_(below_->entries())
    {
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            tensor::TensorEntry& entry = entries_[i];
            index_.emplace(entry.name, i);
            if (is_float(entry)) {
                entry.dtype = tensor::safetensors_word(type);
                entry.bytes = std::accumulate(entry.shape.begin(), entry.shape.end(),
                    static_cast<int64_t>(c10::elementSize(type)), std::multiplies<>());
            }
        }
    }

    const std::vector<tensor::TensorEntry>& entries() const override { return entries_; }
    const tensor::TensorEntry* find(std::string_view name) const override
    {
        const auto found = index_.find(name);
        return found == index_.end() ? nullptr : &entries_[found->second];
    }
    at::Tensor load(std::string_view name) const override
    {
        at::Tensor values = below_->load(name);
        if (!values.is_floating_point()) {
            return values;
        }
        at::Tensor typed = values.to(type_);
        if (type_ == at::kHalf && typed.isinf().any().item<bool>()
            && !values.isinf().any().item<bool>()) {
            fail(ErrorCode::NumericFailure, "a weight is too large for half precision",
                {{"tensor", std::string(name)},
                    {"found", std::to_string(values.abs().max().item<double>())},
                    {"allowed", "up to 65504"}},
                "Take bf16 or f32");
        }
        return typed;
    }
    void check_unchanged() const override { below_->check_unchanged(); }

private:
    std::shared_ptr<const tensor::TensorSource> below_;
    c10::ScalarType type_;
    std::vector<tensor::TensorEntry> entries_;
    std::map<std::string, std::size_t, std::less<>> index_;
};

const char* config_word(c10::ScalarType type)
{
    return type == at::kHalf ? "float16" : type == at::kFloat ? "float32" : "bfloat16";
}

} // namespace

std::shared_ptr<const source::ModelSource> typed_model(
    const std::shared_ptr<const source::ModelSource>& model, c10::ScalarType type)
{
    auto typed = std::make_shared<source::ModelSource>(*model);
    typed->tensors = std::make_shared<TypedTensors>(model->tensors, type);
    const char* word = config_word(type);
    exporting::set_element_type(typed->config, word);
    typed->config["torch_dtype"] = word;
    return typed;
}

} // namespace bitsmith
