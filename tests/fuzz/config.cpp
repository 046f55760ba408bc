// SPDX-License-Identifier: GPL-3.0-or-later
// config.json to DecoderSpec, every family.
#include "arch/registry.h"
#include "guarded.h"

using namespace bitsmith;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size)
{
    return fuzz::guarded(data, size, [](std::span<const uint8_t> input) {
        const Json config = parse_json(fuzz::text_of(input), "config.json");
        const model::DecoderSpec spec = arch::family_for(config).spec_from_config(config);
        BITSMITH_ASSERT(!spec.blocks.empty());
    });
}
