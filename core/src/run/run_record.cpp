// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/run_record.h"

#include "base/timing.h"
#include "values/fields_json.h"

#include <bitsmith/version.h>

#include <torch/headeronly/version.h>

#include <algorithm>
#include <array>

namespace bitsmith {

namespace {

constexpr const char* kVersionKey = "schema_version";

/// Fields, or whole sections ending with a dot, that a resume may change.
constexpr std::array<std::string_view, 9> kMayDiffer = {"model.path", "recipe.name",
    "recipe.batch_size", "exports.", "evaluation.", "runtime.device", "runtime.threads",
    "runtime.run_dir", "runtime.keep_inputs"};

bool may_differ(std::string_view field)
{
    return std::any_of(kMayDiffer.begin(), kMayDiffer.end(), [field](std::string_view entry) {
        return entry.back() == '.' ? field.substr(0, entry.size()) == entry : field == entry;
    });
}

} // namespace

std::string run_files::numbered(const char* folder, int64_t index)
{
    std::string number = std::to_string(index);
    number.insert(0, number.size() < 4 ? 4 - number.size() : 0, '0');
    return concat(folder, '/', number, ".safetensors");
}

RunRecord make_run_record(const JobSpec& spec, const ModelInfo& model, const Plan& plan)
{
    RunRecord record;
    record.program = BITSMITH_VERSION;
    record.torch = TORCH_VERSION;
    record.created_ms = now_ms();
    record.fingerprint = model.fingerprint;
    record.blocks = model.blocks;
    record.spec = spec;
    record.plan = plan;
    return record;
}

void publish_run_record(
    FileSystem& fs, const std::filesystem::path& folder, const RunRecord& record)
{
    Json json = Json::object();
    json[kVersionKey] = kRunSchemaVersion;
    write_fields(json, record);
    publish_file(fs, folder / run_files::kRun,
        json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

RunRecord read_run_record(const std::filesystem::path& folder)
{
    const std::filesystem::path file = folder / run_files::kRun;
    if (!std::filesystem::is_regular_file(file)) {
        fail(ErrorCode::FileNotFound, "this folder is not a run",
            {{"run", folder.string()}, {"file looked for", run_files::kRun}});
    }
    const Json json = read_json_file(file);
    const auto version = json.is_object() ? json.find(kVersionKey) : json.end();
    if (!json.is_object() || version == json.end() || !version->is_number_integer()
        || version->get<int64_t>() < 1 || version->get<int64_t>() > kRunSchemaVersion) {
        fail(ErrorCode::FileCorrupt, "the run has a version that this program cannot read",
            {{"file", file.string()}, {"field", kVersionKey},
                {"found",
                    json.is_object() && version != json.end() ? found_text(*version) : "none"},
                {"allowed", "1 to " + std::to_string(kRunSchemaVersion)}});
    }
    RunRecord record;
    fail_on(read_fields(json, record, Strictness::Lenient), ErrorCode::FileCorrupt, file.string());
    return record;
}

std::vector<FieldDifference> blocking_differences(const JobSpec& run, const JobSpec& wish)
{
    const auto ours = list_fields(run), theirs = list_fields(wish);
    std::vector<FieldDifference> differences;
    for (std::size_t i = 0; i < ours.size(); ++i) {
        if (ours[i].second != theirs[i].second && !may_differ(ours[i].first)) {
            differences.push_back({ours[i].first, ours[i].second, theirs[i].second});
        }
    }
    return differences;
}

} // namespace bitsmith
