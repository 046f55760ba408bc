// SPDX-License-Identifier: GPL-3.0-or-later
// A quantized checkpoint: u32 little-endian length of config.json, config.json, the bytes of
// model.safetensors. Every method of source/quantized_checkpoint.cpp, as the description says.
#include "guarded.h"
#include "source/quantized_checkpoint.h"
#include "tensor/safetensors_reader.h"

#include <cstring>

using namespace bitsmith;

namespace {

constexpr std::size_t kPrefix = sizeof(uint32_t);

/// Layers that one of our codecs holds, by its scheme.
void load_codes(const source::CodedLayers& codes)
{
    for (const auto& layer : codes.schemes()) {
        fuzz::refusable([&] { quant::codec_for(layer.second).decode(codes.load(layer.first)); });
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size)
{
    return fuzz::guarded(data, size, [](std::span<const uint8_t> input) {
        uint32_t length = 0;
        if (input.size() < kPrefix) {
            return;
        }
        std::memcpy(&length, input.data(), kPrefix);
        const auto rest = input.subspan(kPrefix);
        if (length > rest.size()) {
            return;
        }
        Json config = parse_json(fuzz::text_of(rest.first(length)), "config.json");
        if (!config.is_object()) {
            return; // open_hf_folder refuses it
        }
        const auto stored = std::make_shared<const tensor::SafetensorsReader>(
            fuzz::source_of(rest.subspan(length)));
        const source::Unquantized opened = source::open_unquantized(config, "/nonexistent", stored);
        fuzz::load_all(*opened.tensors);
        if (opened.codes != nullptr) {
            load_codes(*opened.codes);
        }
    });
}
