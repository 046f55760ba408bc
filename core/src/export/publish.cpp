// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text.h"
#include "export/exporter.h"
#include "export/marker.h"
#include "export/runtime_limits.h"

#include <numeric>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

/// Room for headers, side files and the journal that may grow at the same time.
constexpr int64_t kSpareBytes = 16LL << 20;

bool is_inside(const fs::path& path, const fs::path& folder)
{
    const auto [end, rest] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
    return end == folder.end();
}

/// Absolute, links resolved as far as the path exists, without a trailing separator.
fs::path resolved(const fs::path& path)
{
    fs::path result = fs::weakly_canonical(fs::absolute(path));
    return result.has_filename() ? result : result.parent_path();
}

void check_target(const fs::path& target, const source::ModelSource& model)
{
    const fs::path source = resolved(model.path);
    const bool clashes = fs::is_directory(source) ? is_inside(target, source) : target == source;
    if (clashes) {
        fail(ErrorCode::InvalidSpec, "the output lies in the folder of the model",
            {{"field", "exports.output"}, {"found", target.string()}, {"model", source.string()}},
            "Choose a folder outside the model.");
    }
    if (fs::exists(target) && (!fs::is_directory(target) || !fs::is_empty(target))) {
        fail(ErrorCode::InvalidSpec, "the output exists and is not an empty folder",
            {{"field", "exports.output"}, {"found", target.string()}},
            "Choose another folder, or remove this one.");
    }
}

void check_space(const fs::path& target, int64_t needed)
{
    const int64_t available = free_disk_bytes(target);
    if (available < needed + kSpareBytes) {
        fail(ErrorCode::WriteFailed, "not enough free space for the export",
            {{"file", target.string()}, {"needed", format_bytes(needed + kSpareBytes)},
                {"free", format_bytes(available)}},
            "Free some space, or choose a folder on another volume.");
    }
}

void check_model_and_plan(const Exporter& exporter, const ExportInput& input)
{
    const std::string refused = exporter.model_refusal(input.model.info);
    if (!refused.empty()) {
        fail(ErrorCode::UnsupportedModel, refused, {{"format", std::string(exporter.id())}});
    }
    const std::string cache_refused = exporter.cache_refusal(input.spec.recipe.static_kv_dtype);
    if (!cache_refused.empty()) {
        fail(ErrorCode::UnsupportedFormat, cache_refused,
            {{"format", std::string(exporter.id())}, {"field", "recipe.static_kv_dtype"}});
    }
    for (const PlannedLayer& layer : input.plan.layers) {
        if (!layer.scheme.is_quantized()) {
            continue;
        }
        const std::string reason = exporter.refusal(layer.scheme);
        if (!reason.empty()) {
            fail(ErrorCode::UnsupportedScheme, reason,
                {{"format", std::string(exporter.id())}, {"layer", layer.name},
                    {"scheme", scheme_name(layer.scheme)}});
        }
    }
}

void check_input(const Exporter& exporter, const ExportInput& input)
{
    check_model_and_plan(exporter, input);
    for (const PlannedLayer& layer : input.plan.layers) {
        if (layer.scheme.is_quantized() && !input.layers.contains(layer.name)) {
            fail(ErrorCode::MissingTensor, "a planned layer has no quantized weights",
                {{"layer", layer.name}}, "Finish the run first.");
        }
    }
}

/// Removes the staging folder unless the export was published.
class Staging
{
public:
    Staging(FileSystem& fs, fs::path folder)
        : fs_(fs)
        , folder_(std::move(folder))
    {
        // Left over from a killed process: nobody else writes this name.
        if (fs::exists(folder_)) {
            fs_.remove_all(folder_);
        }
        fs_.create_folders(folder_);
    }
    ~Staging()
    {
        if (!published_) {
            // Also when the file layer refuses everything: what was written must not stay behind.
            std::error_code ignored;
            fs::remove_all(folder_, ignored);
        }
    }
    Staging(const Staging&) = delete;
    Staging& operator=(const Staging&) = delete;

    const fs::path& folder() const { return folder_; }
    void publish(const fs::path& target)
    {
        fs_.rename(folder_, target);
        published_ = true;
    }

private:
    FileSystem& fs_;
    fs::path folder_;
    bool published_ = false;
};

void sync_folders(FileSystem& fs, const fs::path& folder)
{
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (entry.is_directory()) {
            fs.sync_folder(entry.path());
        }
    }
    fs.sync_folder(folder);
}

int64_t bytes_below(const fs::path& folder)
{
    int64_t bytes = 0;
    for (const std::string& name : files_below(folder)) {
        bytes += static_cast<int64_t>(fs::file_size(folder / name));
    }
    return bytes;
}

void require_clean(std::vector<std::string> findings, const Exporter& exporter)
{
    if (!findings.empty()) {
        fail(ErrorCode::WriteFailed, "what was written does not read back as it should",
            {{"format", std::string(exporter.id())}, {"finding", findings.front()},
                {"findings", std::to_string(findings.size())}},
            "Nothing was published. Check disk and memory, then export the run again.");
    }
}

/// Of a run that has not begun.
struct NoLayers final : quant::QuantizedStore
{
    bool contains(std::string_view /*layer*/) const override { return false; }
    quant::QuantizedWeight load(std::string_view layer) const override
    {
        fail(ErrorCode::Internal, "no layer is quantized yet", {{"layer", std::string(layer)}});
    }
};

} // namespace

void require_exportable(const Exporter& exporter, const source::ModelSource& model,
    const Plan& plan, const JobSpec& spec)
{
    const NoLayers layers;
    const ExportInput input{model, plan, layers, spec};
    check_model_and_plan(exporter, input);
    exporter.estimate_bytes(input); // lays out every tensor
}

ExportReport publish_export(RunContext& context, FileSystem& fs, const Exporter& exporter,
    const ExportInput& input, const fs::path& target)
{
    const fs::path wanted = resolved(target);
    check_target(wanted, input.model);
    check_input(exporter, input);
    check_space(wanted, exporter.estimate_bytes(input));
    input.model.tensors->check_unchanged();
    for (std::string& note : export_notes(exporter, input)) {
        context.events.warn("export", concat(exporter.id(), ": ", note));
    }

    fs.create_folders(wanted.parent_path());
    Staging staging(
        fs, wanted.parent_path() / concat(".", wanted.filename().string(), ".unfinished"));
    exporter.write(context, fs, input, staging.folder());
    context.checkpoint();
    require_clean(exporter.verify(staging.folder(), &input), exporter);
    context.checkpoint();
    publish_file(
        fs, staging.folder() / kMarkerFile, build_marker(exporter, input, staging.folder()));
    sync_folders(fs, staging.folder());
    const int64_t bytes = bytes_below(staging.folder());
    input.model.tensors->check_unchanged();
    staging.publish(wanted);

    return {std::string(exporter.id()), wanted.string(), bytes};
}

ExportReport describe_export(const Exporter& exporter, const fs::path& target)
{
    const fs::path folder = resolved(target);
    return {std::string(exporter.id()), folder.string(), bytes_below(folder)};
}

} // namespace bitsmith::exporting
