// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/gguf_source.h"

#include "base/sha256.h"
#include "base/text.h"
#include "source/gguf_config.h"
#include "source/gguf_tensors.h"
#include "source/gguf_tokenizer.h"
#include "source/hf_folder.h"

#include <bitsmith/error.h>

#include <array>
#include <fstream>

namespace bitsmith::source {
namespace {

void add_file(ModelSource& source, std::string name, std::string bytes)
{
    source.side_files.push_back({std::move(name), std::move(bytes)});
}

void add_text_files(ModelSource& source, const tensor::GgufMetadata& metadata)
{
    try {
        GgufTextFiles text = build_gguf_tokenizer(metadata);
        for (auto& [name, bytes] : text.files) {
            add_file(source, name, std::move(bytes));
        }
        source.info.warnings.insert(
            source.info.warnings.end(), text.warnings.begin(), text.warnings.end());
    } catch (const Error& error) {
        if (error.code() != ErrorCode::UnsupportedModel) {
            throw;
        }
        source.info.warnings.push_back(concat("no tokenizer: ", error.what()));
    }
}

/// Some bytes out of up to 64 tensors as stored, and the text files: fine-tuned models have the
/// shapes of their original.
std::string content_sample(const GgufParts& parts, const ModelSource& source)
{
    constexpr std::size_t n_tensors = 64;
    constexpr std::size_t n_bytes = 256;
    Sha256 hash;
    for (const SideFile& file : source.side_files) {
        hash.update(concat(file.name, '\0', file.bytes.size(), '\0', file.bytes));
    }
    const std::size_t step = std::max<std::size_t>(1, parts.tensors().size() / n_tensors);
    std::size_t index = 0;
    for (const auto& [name, location] : parts.tensors()) {
        if (index++ % step == 0) {
            const tensor::GgufTensor& stored = *location.tensor;
            std::vector<std::byte> middle(std::min(n_bytes, stored.bytes));
            location.part->read(stored, (stored.bytes - middle.size()) / 2, middle);
            hash.update(middle);
        }
    }
    return hash.finish();
}

} // namespace

bool is_gguf_file(const std::filesystem::path& path)
{
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) {
        return false;
    }
    if (lower(path.extension().string()) == ".gguf") {
        return true;
    }
    std::array<char, 4> magic{};
    std::ifstream stream(path, std::ios::binary);
    stream.read(magic.data(), magic.size());
    return stream.gcount() == 4 && std::string_view(magic.data(), magic.size()) == "GGUF";
}

std::shared_ptr<ModelSource> open_gguf(const std::filesystem::path& path)
{
    const std::shared_ptr<const GgufParts> parts = GgufParts::open(path);
    const GgufFamily& family = gguf_family_for(parts->metadata());
    auto source = std::make_shared<ModelSource>();
    source->kind = "gguf";
    source->config = build_gguf_config(*parts, family);
    source->tensors = std::make_shared<const GgufTensors>(parts, family);
    const Json generation = build_gguf_generation_config(parts->metadata());
    if (!generation.empty()) {
        add_file(*source, "generation_config.json", generation.dump(2));
    }
    add_text_files(*source, parts->metadata());
    source->info.quantization = gguf_quantization(*parts);
    source->info.fingerprint =
        fingerprint_of(*source->tensors, {source->config.dump(), content_sample(*parts, *source)});
    return source;
}

} // namespace bitsmith::source
