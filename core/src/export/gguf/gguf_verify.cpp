// SPDX-License-Identifier: GPL-3.0-or-later
// Re-opening of a GGUF export.
#include "base/text.h"
#include "export/folder_verify.h"
#include "export/gguf/gguf_exporter.h"
#include "export/gguf/tensor_plan.h"
#include "quant/row_slices.h"
#include "source/gguf_tensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

/// Without a rule of splitting or kinds of tokens llama.cpp splits digits and blanks otherwise, and
/// prints control tokens as text (formats.md 6.12). Vocabularies with scores need no rule.
void check_splitting(const tensor::GgufMetadata& metadata, Findings& findings)
{
    if (metadata.text("tokenizer.ggml.model") == "gpt2" && !metadata.text("tokenizer.ggml.pre")) {
        findings.emplace_back("tokenizer.ggml.pre is missing: nothing says how text is split");
    }
    if (!metadata.contains("tokenizer.ggml.token_type")) {
        findings.emplace_back(
            "tokenizer.ggml.token_type is missing: nothing says which tokens are control tokens");
    }
}

bool is_complete_vocabulary(const source::GgufParts& parts, Findings& findings)
{
    check_splitting(parts.metadata(), findings);
    const auto tokens = parts.metadata().texts("tokenizer.ggml.tokens");
    const tensor::GgufTensor* embedding = parts.find("token_embd.weight");
    if (embedding == nullptr) {
        findings.emplace_back("tensor token_embd.weight is missing");
    } else if (!tokens) {
        findings.emplace_back("the file has no vocabulary");
    } else if (static_cast<int64_t>(tokens->size()) != embedding->shape.front()) {
        findings.push_back(concat("the vocabulary has ", tokens->size(), " tokens, the embedding ",
            embedding->shape.front(), " rows"));
    }
    return findings.empty();
}

/// Every block has every tensor of its architecture, which llama.cpp insists on.
void check_blocks(
    const source::GgufParts& parts, const source::GgufFamily& family, Findings& findings)
{
    const auto blocks = parts.metadata().integer(concat(family.arch, ".block_count")).value_or(0);
    for (int64_t block = 0; block < blocks; ++block) {
        for (const source::GgufRule& rule : family.block) {
            const std::string name = concat("blk.", block, ".", rule.gguf, ".weight");
            if (parts.find(name) == nullptr) {
                findings.push_back(concat("tensor ", name, " is missing"));
            }
        }
    }
    if (blocks < 1) {
        findings.emplace_back("the file names no blocks");
    }
    if (parts.find("output_norm.weight") == nullptr) {
        findings.emplace_back("tensor output_norm.weight is missing");
    }
}

/// Same tensors in the same order, byte for byte what model and plan give.
void check_bytes(const source::GgufParts& parts, const ExportInput& input, const GgufFilePlan& plan,
    Findings& findings)
{
    if (parts.tensors().size() != plan.tensors.size()) {
        findings.push_back(concat("the file holds ", parts.tensors().size(), " tensors instead of ",
            plan.tensors.size()));
    }
    for (const GgufTensorPlan& planned : plan.tensors) {
        const auto found = parts.tensors().find(planned.header.name);
        if (found == parts.tensors().end()) {
            findings.push_back(concat("tensor ", planned.header.name, " is missing"));
            continue;
        }
        const source::GgufLocation& stored = found->second;
        const std::vector<std::byte> bytes = stored.part->data(*stored.tensor);
        const at::Tensor expected = gguf_tensor_bytes(input, planned);
        const bool same = stored.tensor->shape == planned.header.shape
            && stored.tensor->type->type == planned.header.type
            && static_cast<int64_t>(bytes.size()) == expected.numel()
            && std::memcmp(bytes.data(), expected.const_data_ptr<uint8_t>(), bytes.size()) == 0;
        if (!same) {
            findings.push_back(concat("tensor ", planned.header.name, " differs from the run"));
        }
    }
}

/// "NAME-of-00003.gguf" of NAME-00001-of-00003.gguf, what all parts have in common; empty for a
/// file that is no part of several.
std::string set_name(const fs::path& file)
{
    const std::string name = file.filename().string();
    const std::size_t tail = tensor::gguf_part_name("", 0, 2).size();
    const std::size_t number = std::string_view("-00001").size();
    if (name.size() <= tail || name.compare(name.size() - tail + number, 4, "-of-") != 0) {
        return {};
    }
    return name.substr(0, name.size() - tail) + name.substr(name.size() - tail + number);
}

/// The reader names layers by the plain layout, whatever prefix the source had.
std::string plain_name(const std::string& layer, const model::DecoderSpec& spec)
{
    const std::size_t layers = layer.find("layers.");
    return spec.model_names.block.starts_with("model.layers.") || layers == std::string::npos
        ? layer
        : concat("model.", layer.substr(layers));
}

/// Read as a model, every quantized layer has the values that were tuned.
void check_values(const tensor::TensorSource& decoded, const ExportInput& input,
    const GgufFilePlan& plan, Findings& findings)
{
    for (const GgufTensorPlan& planned : plan.tensors) {
        for (const std::string& layer : planned.layers) {
            const at::Tensor found = decoded.load(plain_name(layer, input.model.spec) + ".weight");
            bool same = true;
            quant::decode_by_rows(
                input.layers.load(layer), [&](int64_t first, const at::Tensor& values) {
                    same = same && at::equal(found.narrow(0, first, values.size(0)), values);
                });
            if (!same) {
                findings.push_back(concat("layer ", layer, " does not decode to its tuned values"));
            }
        }
    }
}

} // namespace

fs::path gguf_file_in(const fs::path& exported)
{
    if (fs::is_regular_file(exported)) {
        return exported;
    }
    std::vector<fs::path> found;
    if (fs::is_directory(exported)) {
        for (const auto& entry : fs::directory_iterator(exported)) {
            if (entry.is_regular_file() && entry.path().extension() == ".gguf") {
                found.push_back(entry.path());
            }
        }
    }
    if (found.empty()) {
        fail(ErrorCode::FileNotFound, "no GGUF file here", {{"file", exported.string()}});
    }
    std::sort(found.begin(), found.end());
    const auto is_of_same_model = [&found](const fs::path& file) {
        return !set_name(file).empty() && set_name(file) == set_name(found.front());
    };
    if (found.size() > 1 && !std::all_of(found.begin(), found.end(), is_of_same_model)) {
        fail(ErrorCode::FileCorrupt, "several GGUF files where one was written",
            {{"file", exported.string()}, {"found", std::to_string(found.size())},
                {"allowed", tensor::gguf_part_name("NAME", 0, found.size()) + " ..."}});
    }
    return found.front();
}

bool is_split_gguf(const fs::path& exported)
{
    return !set_name(gguf_file_in(exported)).empty();
}

std::vector<std::string> GgufExporter::verify(
    const fs::path& exported, const ExportInput* input) const
{
    Findings findings;
    try {
        const auto parts = source::GgufParts::open(gguf_file_in(exported));
        const source::GgufFamily& family = source::gguf_family_for(parts->metadata());
        const source::GgufTensors decoded(parts, family);
        if (!is_complete_vocabulary(*parts, findings)) {
            return findings;
        }
        check_blocks(*parts, family, findings);
        if (!findings.empty()) {
            return findings;
        }
        if (input == nullptr) {
            findings = structure_findings(gguf_file_in(exported));
        } else {
            const GgufFilePlan plan = gguf_file_plan(*input);
            check_bytes(*parts, *input, plan, findings);
            check_values(decoded, *input, plan, findings);
        }
    } catch (const Error& error) {
        findings.emplace_back(error.what());
    }
    return findings;
}

} // namespace bitsmith::exporting
