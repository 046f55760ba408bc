// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/side_file.h"

#include "base/file_ops.h"
#include "base/json_io.h"
#include "base/text.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <array>

namespace bitsmith::source {

namespace {

constexpr int64_t kMaxSideFile = 64LL << 20;
constexpr int64_t kMaxSideFiles = 256LL << 20;

// Weights in any container, and descriptions that would contradict what an export writes.
constexpr std::array<std::string_view, 14> kSkippedEndings = {".safetensors", ".bin", ".pt", ".pth",
    ".ckpt", ".gguf", ".ggml", ".h5", ".msgpack", ".onnx", ".onnx_data", ".tflite", ".npz",
    ".index.json"};
constexpr std::array<std::string_view, 7> kSkippedNames = {"config.json", "hf_quant_config.json",
    "recipe.yaml", "quantization_config.json", "quantize_config.json", "quant_config.json",
    "bitsmith.json"};

bool is_skipped(const std::string& name)
{
    const bool ending = std::any_of(kSkippedEndings.begin(), kSkippedEndings.end(),
        [&](std::string_view end) { return std::string_view(name).ends_with(end); });
    const bool named =
        std::find(kSkippedNames.begin(), kSkippedNames.end(), name) != kSkippedNames.end();
    return ending || named || name.starts_with(".") || name.starts_with("consolidated");
}

bool is_dangling(const std::filesystem::directory_entry& entry)
{
    std::error_code error;
    return entry.is_symlink(error) && !entry.exists(error);
}

class Collector
{
public:
    Collector(const std::filesystem::path& folder, std::vector<std::string>& warnings)
        : folder_(folder)
        , warnings_(warnings)
    { }

    void take(const std::filesystem::path& file, const std::string& name)
    {
        std::error_code error;
        if (!std::filesystem::exists(file, error)) {
            warnings_.push_back(
                concat("side file '", name, "' is not taken along: what it links to is missing"));
            return;
        }
        require_inside(folder_, file);
        const auto size = static_cast<int64_t>(std::filesystem::file_size(file, error));
        if (error || size > kMaxSideFile || taken_ + size > kMaxSideFiles) {
            warnings_.push_back(concat("side file '", name, "' is not taken along: ",
                error ? error.message() : "too large, " + format_bytes(size)));
            return;
        }
        taken_ += size;
        files.push_back({name, read_text_file(file, kMaxSideFile)});
    }

    std::vector<SideFile> files;

private:
    const std::filesystem::path& folder_;
    std::vector<std::string>& warnings_;
    int64_t taken_ = 0;
};

/// Stops at model.type of a tokenizer.json, which stands before the large vocabulary.
class KindFinder : public nlohmann::json_sax<Json>
{
public:
    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t, const string_t&) override { return true; }
    bool binary(binary_t&) override { return true; }
    bool string(string_t& value) override
    {
        if (inside_model_ && depth_ == 2 && key_ == "type") {
            kind = value;
            return false;
        }
        return true;
    }
    bool key(string_t& name) override
    {
        key_ = name;
        return true;
    }
    bool start_object(std::size_t) override
    {
        inside_model_ = inside_model_ || (depth_ == 1 && key_ == "model");
        ++depth_;
        return true;
    }
    bool end_object() override
    {
        --depth_;
        inside_model_ = inside_model_ && depth_ > 1;
        return true;
    }
    bool start_array(std::size_t) override
    {
        ++depth_;
        return true;
    }
    bool end_array() override
    {
        --depth_;
        return true;
    }
    bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override
    {
        kind = "unreadable";
        return false;
    }

    std::string kind;

private:
    int64_t depth_ = 0;
    bool inside_model_ = false;
    std::string key_;
};

const SideFile* find(const std::vector<SideFile>& files, std::string_view name)
{
    const auto found = std::find_if(
        files.begin(), files.end(), [&](const SideFile& file) { return file.name == name; });
    return found == files.end() ? nullptr : &*found;
}

} // namespace

void require_inside(const std::filesystem::path& folder, const std::filesystem::path& file)
{
    std::error_code error;
    const std::filesystem::path target = std::filesystem::canonical(file, error);
    if (error) {
        fail(ErrorCode::FileNotFound, "the file or what it links to is missing",
            {{"file", file.string()}, {"reason", error.message()}});
    }
    const std::filesystem::path home = std::filesystem::canonical(folder);
    const auto ends = std::mismatch(home.begin(), home.end(), target.begin(), target.end());
    if (ends.first == home.end()) {
        return;
    }
    const bool hub_cache = home.parent_path().filename() == "snapshots"
        && target.parent_path() == home.parent_path().parent_path() / "blobs";
    if (!hub_cache) {
        fail(ErrorCode::FileCorrupt, "a link leads outside the model's folder",
            {{"file", file.string()}, {"target", target.string()}},
            "Copy the file itself into the folder.");
    }
}

std::vector<SideFile> read_side_files(
    const std::filesystem::path& folder, std::vector<std::string>& warnings)
{
    std::vector<std::filesystem::path> found;
    for (const char* sub : {"", "additional_chat_templates"}) {
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(folder / sub, error)) {
            if (entry.is_regular_file(error) || is_dangling(entry)) {
                found.push_back(std::filesystem::path(sub) / entry.path().filename());
            }
        }
    }
    std::sort(found.begin(), found.end());
    Collector collector(folder, warnings);
    for (const std::filesystem::path& relative : found) {
        const std::string name = relative.filename().string();
        const bool nested = relative.has_parent_path();
        if (is_skipped(name) || (nested && relative.extension() != ".jinja")) {
            continue;
        }
        if (!is_safe_file_name(name)) {
            warnings.push_back(concat("side file '", printable(name),
                "' is not taken along: its name is not safe on every platform"));
            continue;
        }
        collector.take(folder / relative, relative.generic_string());
    }
    return std::move(collector.files);
}

std::string tokenizer_kind(const std::vector<SideFile>& files)
{
    if (const SideFile* file = find(files, "tokenizer.json")) {
        KindFinder finder;
        Json::sax_parse(file->bytes, &finder, nlohmann::json::input_format_t::json, false);
        // Files of the first years name no type; then it is the only one of that time.
        return finder.kind.empty() ? "BPE" : finder.kind;
    }
    if (find(files, "tokenizer.model") != nullptr || find(files, "spiece.model") != nullptr) {
        return "SentencePiece";
    }
    const bool bpe = find(files, "vocab.json") != nullptr && find(files, "merges.txt") != nullptr;
    return bpe ? "BPE" : "";
}

bool has_chat_template(const std::vector<SideFile>& files)
{
    if (find(files, "chat_template.jinja") != nullptr
        || find(files, "chat_template.json") != nullptr) {
        return true;
    }
    const SideFile* file = find(files, "tokenizer_config.json");
    if (file == nullptr) {
        return false;
    }
    const Json config = parse_json(file->bytes, file->name);
    return config.is_object() && config.contains("chat_template")
        && !config["chat_template"].is_null();
}

} // namespace bitsmith::source
