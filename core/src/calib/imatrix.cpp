// SPDX-License-Identifier: GPL-3.0-or-later
#include "calib/imatrix.h"

#include "base/text.h"
#include "source/gguf_places.h"
#include "tensor/gguf_writer.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <algorithm>

namespace bitsmith::calib {

namespace {

const source::GgufFamily& family_of(const source::ModelSource& model)
{
    const source::GgufFamily* family = source::find_gguf_family(model.spec.model_type);
    if (family == nullptr) {
        fail(ErrorCode::UnsupportedModel, "importance matrices name no layers of this family",
            {{"field", "model_type"}, {"found", model.spec.model_type}});
    }
    return *family;
}

/// Weights that the tensor of `place` holds.
int64_t matrices_of(const source::GgufPlace& place, const source::ModelSource& model)
{
    return place.expert < 0 ? 1 : model.info.experts;
}

/// fp32 [columns] of one layer.
at::Tensor mean_square(const InputSquares& squares, const source::GgufPlace& place,
    const LayerInfo& layer, int64_t matrices)
{
    const int64_t counts = squares.counts.numel();
    const bool fits = squares.sums.numel() == matrices * layer.columns
        && (counts == 1 || counts == matrices) && place.expert < matrices;
    if (!fits) {
        fail(ErrorCode::ShapeMismatch, "the importance matrix is of another width than the layer",
            {{"layer", layer.name}, {"tensor", place.name + ".weight"},
                {"found", concat(squares.sums.numel(), " sums, ", counts, " counts")},
                {"allowed", concat(matrices, " x ", layer.columns)}},
            "Name a matrix that was made for this model.");
    }
    const int64_t matrix = std::max<int64_t>(place.expert, 0);
    const auto count = squares.counts[counts == 1 ? 0 : matrix].item<double>();
    const at::Tensor sums = squares.sums.view({matrices, layer.columns})[matrix];
    return count > 0 ? sums / count : at::ones({layer.columns}, at::kFloat);
}

std::span<const std::byte> bytes_of(const at::Tensor& floats)
{
    return std::as_bytes(
        std::span(floats.const_data_ptr<float>(), static_cast<std::size_t>(floats.numel())));
}

tensor::GgufFields fields_of(const Imatrix& imatrix)
{
    tensor::GgufFields fields;
    fields.set("general.type", std::string("imatrix"));
    fields.set("imatrix.datasets", imatrix.datasets);
    fields.set("imatrix.chunk_count", static_cast<uint32_t>(imatrix.chunks));
    fields.set("imatrix.chunk_size", static_cast<uint32_t>(imatrix.chunk_tokens));
    return fields;
}

} // namespace

void write_imatrix(FileSystem& fs, const std::filesystem::path& file, const Imatrix& imatrix)
{
    std::vector<tensor::GgufTensorHeader> headers;
    std::vector<at::Tensor> values;
    for (const auto& [name, squares] : imatrix.weights) {
        const int64_t matrices = squares.counts.numel();
        BITSMITH_ASSERT(squares.sums.numel() % matrices == 0);
        headers.push_back({name + ".in_sum2", {matrices, squares.sums.numel() / matrices}});
        headers.push_back({name + ".counts", {matrices, 1}});
        for (const at::Tensor& part : {squares.sums, squares.counts}) {
            values.push_back(part.to(at::kCPU, at::kFloat).contiguous());
        }
    }
    publish(fs, file, [&](const std::filesystem::path& temporary) {
        tensor::GgufWriter writer(fs, temporary, fields_of(imatrix), headers);
        for (std::size_t i = 0; i < headers.size(); ++i) {
            writer.write(headers[i].name, bytes_of(values[i]));
        }
        writer.finish();
    });
}

std::map<std::string, at::Tensor> layer_importance(
    const Imatrix& imatrix, const source::ModelSource& model)
{
    const source::GgufPlaces places(model.spec, family_of(model));
    std::map<std::string, at::Tensor> importance;
    for (const LayerInfo& layer : model.info.layers) {
        const std::optional<source::GgufPlace> place = places.place(layer.name);
        const auto known =
            place ? imatrix.weights.find(place->name + ".weight") : imatrix.weights.end();
        if (known != imatrix.weights.end()) {
            importance.emplace(
                layer.name, mean_square(known->second, *place, layer, matrices_of(*place, model)));
        }
    }
    if (importance.empty()) {
        fail(ErrorCode::InvalidSpec, "the importance matrix knows no layer of this model",
            {{"found", concat(imatrix.weights.size(), " weights of other names")},
                {"model", model.path}},
            "Name a matrix that was made for this model.");
    }
    return importance;
}

Imatrix imatrix_of(
    const std::map<std::string, InputSquares>& layers, const source::ModelSource& model)
{
    const source::GgufPlaces places(model.spec, family_of(model));
    Imatrix imatrix;
    for (const auto& [layer, squares] : layers) {
        const std::optional<source::GgufPlace> place = places.place(layer);
        if (!place) {
            fail(ErrorCode::UnsupportedModel, "importance matrices have no name for a layer",
                {{"layer", layer}});
        }
        const int64_t matrices = matrices_of(*place, model), columns = squares.sums.numel();
        const int64_t matrix = std::max<int64_t>(place->expert, 0);
        InputSquares& stacked = imatrix.weights[place->name + ".weight"];
        if (!stacked.sums.defined()) {
            stacked = {
                at::zeros({matrices * columns}, at::kFloat), at::zeros({matrices}, at::kFloat)};
        }
        BITSMITH_ASSERT(stacked.sums.numel() == matrices * columns && matrix < matrices);
        stacked.sums.view({matrices, columns})[matrix].copy_(squares.sums.flatten());
        stacked.counts[matrix].copy_(squares.counts.flatten()[0]);
    }
    return imatrix;
}

} // namespace bitsmith::calib
