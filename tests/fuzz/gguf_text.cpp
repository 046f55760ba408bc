// SPDX-License-Identifier: GPL-3.0-or-later
// The vocabulary of a GGUF file to tokenizer.json and tokenizer_config.json, and what is read from
// these files again.
#include "guarded.h"
#include "source/gguf_tokenizer.h"
#include "source/side_file.h"
#include "tensor/gguf_reader.h"

using namespace bitsmith;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size)
{
    return fuzz::guarded(data, size, [](std::span<const uint8_t> input) {
        const tensor::GgufReader reader(fuzz::source_of(input));
        std::vector<source::SideFile> files;
        for (auto& [name, bytes] : source::build_gguf_tokenizer(reader.metadata()).files) {
            files.push_back({name, bytes});
        }
        BITSMITH_ASSERT(source::tokenizer_kind(files) == "BPE");
        source::has_chat_template(files);
    });
}
