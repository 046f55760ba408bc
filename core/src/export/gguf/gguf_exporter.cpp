// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/gguf/gguf_exporter.h"

#include "base/text.h"
#include "export/config_writer.h"
#include "export/gguf/blocks.h"
#include "export/gguf/metadata.h"
#include "export/gguf/tensor_plan.h"
#include "export/gguf/vocabulary.h"
#include "export/model_card.h"
#include "hf/tokenizer.h"
#include "source/gguf_places.h"

#include <ATen/ATen.h>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kOtherFilesBytes = 1LL << 20;

std::map<std::string, std::string> files_by_name(const source::ModelSource& model)
{
    std::map<std::string, std::string> files;
    for (const source::SideFile& side : model.side_files) {
        files.emplace(side.name, side.bytes);
    }
    return files;
}

int64_t embedding_rows(const GgufFilePlan& plan)
{
    for (const GgufTensorPlan& tensor : plan.tensors) {
        if (tensor.header.name == "token_embd.weight") {
            return tensor.header.shape.front();
        }
    }
    fail(ErrorCode::MissingTensor, "the model has no token embedding",
        {{"tensor", "token_embd.weight"}});
}

tensor::GgufFields all_fields(const ExportInput& input, const GgufFilePlan& plan)
{
    tensor::GgufFields fields;
    add_model_fields(fields, input, plan);
    const std::map<std::string, std::string> files = files_by_name(input.model);
    const auto encode = [&files](const std::string& text) {
        const hf::Tokenizer tokenizer =
            hf::Tokenizer::from_json(files.at("tokenizer.json"), "tokenizer.json");
        const std::vector<int32_t> ids = tokenizer.encode(text, true);
        return std::vector<int64_t>(ids.begin(), ids.end());
    };
    add_vocabulary(fields, {files, input.model.config, embedding_rows(plan), encode});
    return fields;
}

std::string file_stem(const ExportInput& input, const GgufFilePlan& plan)
{
    return concat(model_name(input.model), "-", plan.type_name);
}

int64_t max_part_bytes(const ExportInput& input)
{
    return static_cast<int64_t>(input.spec.exports.max_gguf_gb * 1e9);
}

std::size_t part_count(const ExportInput& input, const GgufFilePlan& plan)
{
    return tensor::split_gguf(plan.headers(), max_part_bytes(input)).size();
}

std::string how_to_load(const std::string& file, bool is_split)
{
    const std::string ollama =
        concat("\n\nWith Ollama, from a file `Modelfile` with the line `FROM ./", file,
            "`:\n\n```\nollama create my-model -f Modelfile\nollama run my-model\n```");
    // Ollama takes single files only.
    return concat("With llama.cpp:\n\n```\nllama-cli -m ", file, "\n```", is_split ? "" : ollama);
}

std::span<const std::byte> bytes_of(const at::Tensor& bytes)
{
    return std::as_bytes(
        std::span(bytes.const_data_ptr<uint8_t>(), static_cast<std::size_t>(bytes.numel())));
}

} // namespace

FormatInfo GgufExporter::info() const
{
    return {"gguf", "GGUF (llama.cpp, Ollama, LM Studio)",
        "every gguf: scheme; symmetric integer weights of 4, 5 or 8 bits in groups of 32 columns, "
        "a multiple of that, or one per row",
        "folder with one .gguf file, or its parts: weights, tokenizer and chat template",
        {"llama.cpp", "Ollama", "LM Studio"}};
}

std::string GgufExporter::refusal(const Scheme& scheme) const
{
    if (!scheme.is_quantized() || gguf_type_of(scheme)) {
        return {};
    }
    return "GGUF holds its own types, and symmetric integer weights of 4, 5 or 8 bits in groups of "
           "whole blocks of 32 columns";
}

std::string GgufExporter::model_refusal(const ModelInfo& model) const
{
    if (source::find_gguf_family(model.model_type) == nullptr) {
        return concat("llama.cpp has no architecture that Bitsmith can write models of type '",
            model.model_type, "' for");
    }
    if (!model.tokenizer.empty() && model.tokenizer != "BPE") {
        return concat(
            "GGUF vocabularies are not written from tokenizers of kind '", model.tokenizer, "'");
    }
    return model.tokenizer.empty() ? "a GGUF file needs the model's tokenizer, which was not found"
                                   : "";
}

bool GgufExporter::recognizes(const fs::path& exported) const
{
    if (fs::is_regular_file(exported)) {
        return exported.extension() == ".gguf";
    }
    if (!fs::is_directory(exported) || fs::exists(exported / "config.json")) {
        return false;
    }
    return std::any_of(fs::directory_iterator(exported), fs::directory_iterator(),
        [](const fs::directory_entry& entry) { return entry.path().extension() == ".gguf"; });
}

int64_t GgufExporter::estimate_bytes(const ExportInput& input) const
{
    int64_t bytes = kOtherFilesBytes;
    for (const tensor::GgufTensorHeader& tensor : gguf_file_plan(input).headers()) {
        bytes += tensor.bytes() + tensor::kGgufAlignment + 128; // and its line in the header
    }
    for (const source::SideFile& side : input.model.side_files) {
        bytes += 2 * static_cast<int64_t>(side.bytes.size()); // the vocabulary with its lengths
    }
    return bytes;
}

std::vector<std::string> GgufExporter::notes(const ExportInput& input) const
{
    const GgufFilePlan plan = gguf_file_plan(input);
    std::vector<std::string> notes = model_field_notes(input, plan);
    if (!plan.narrowed.empty()) {
        notes.push_back(concat(plan.narrowed.size(),
            " matrices that the model stores in 32 bits are written in 16 bits."));
    }
    const std::size_t parts = part_count(input, plan);
    if (parts > 1) {
        notes.push_back(concat("The model is written in ", parts, " files of at most ",
            input.spec.exports.max_gguf_gb,
            " GB; llama.cpp is given the first one, other programs may ask for a single file."));
    }
    return notes;
}

CardText GgufExporter::card_text(const ExportInput& input) const
{
    const bool is_split = part_count(input, gguf_file_plan(input)) > 1;
    return {"gguf", how_to_load(gguf_file_name(input), is_split)};
}

void GgufExporter::write(
    RunContext& context, FileSystem& fs, const ExportInput& input, const fs::path& folder) const
{
    const GgufFilePlan plan = gguf_file_plan(input);
    tensor::SplitGgufWriter writer(fs, folder, file_stem(input, plan), all_fields(input, plan),
        plan.headers(), max_part_bytes(input));
    const auto total = static_cast<int64_t>(plan.tensors.size());
    for (int64_t i = 0; i < total; ++i) {
        context.checkpoint();
        const GgufTensorPlan& tensor = plan.tensors[static_cast<std::size_t>(i)];
        const at::Tensor bytes = gguf_tensor_bytes(input, tensor);
        writer.write(tensor.header.name, bytes_of(bytes));
        context.events.emit(StageProgress{Stage::Export, i + 1, total, "tensors"});
    }
    writer.finish();
    write_text(fs, folder / "README.md", model_card(input, *this));
}

std::string gguf_file_name(const ExportInput& input)
{
    const GgufFilePlan plan = gguf_file_plan(input);
    return tensor::gguf_part_name(file_stem(input, plan), 0, part_count(input, plan));
}

} // namespace bitsmith::exporting
