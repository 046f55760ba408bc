// SPDX-License-Identifier: GPL-3.0-or-later
// A GGUF model: container, metadata to config.json and DecoderSpec, every tensor.
#include "arch/registry.h"
#include "guarded.h"
#include "source/gguf_config.h"
#include "source/gguf_tensors.h"

using namespace bitsmith;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size)
{
    return fuzz::guarded(data, size, [](std::span<const uint8_t> input) {
        const auto parts = std::make_shared<const source::GgufParts>(
            std::vector<std::shared_ptr<const ByteSource>>{fuzz::source_of(input)});
        for (const auto& [name, location] : parts->tensors()) {
            location.part->data(*location.tensor);
        }
        const source::GgufFamily& family = source::gguf_family_for(parts->metadata());
        fuzz::refusable([&] {
            const Json config = source::build_gguf_config(*parts, family);
            arch::family_for(config).spec_from_config(config);
            source::build_gguf_generation_config(parts->metadata()).dump();
        });
        fuzz::load_all(source::GgufTensors(parts, family));
    });
}
