// SPDX-License-Identifier: GPL-3.0-or-later
// `verify`: is an export still what was written, and what was tuned? Is a download whole? Is what
// another program wrote sound?
#include "export/exporter.h"
#include "export/folder_verify.h"
#include "export/marker.h"
#include "run/touched_model.h"
#include "source/hub_snapshot.h"

#include <bitsmith/job.h>

namespace bitsmith {

namespace fs = std::filesystem;

namespace {

/// What can be told without the run. Models in formats that are read but not written have a
/// structure too.
std::vector<std::string> structure_of(const fs::path& model)
{
    const exporting::Exporter* exporter = exporting::find_exporter(model);
    return exporter != nullptr ? exporter->verify(model, nullptr)
                               : exporting::structure_findings(model);
}

std::vector<std::string> differences_from(const fs::path& exported, const fs::path& run)
{
    const auto folder = RunFolder::open(run);
    const auto model = touched_model(source::open_model(folder->spec().model.path), *folder);
    const exporting::ExportInput input{*model, folder->plan(), *folder, folder->spec()};
    return exporting::exporter_of(exported).verify(exported, &input);
}

/// Whether a marker has to stand in `exported`: beside a lone file none speaks for it alone, and
/// other programs write none.
bool needs_marker(const fs::path& exported, const fs::path& run)
{
    return fs::is_directory(exported)
        && (!run.empty() || fs::exists(exported / exporting::kMarkerFile));
}

} // namespace

std::vector<std::string> verify_export(const fs::path& exported, const fs::path& run)
{
    if (!fs::exists(exported)) {
        fail(ErrorCode::FileNotFound, "there is no export here", {{"file", exported.string()}});
    }
    if (source::is_hub_snapshot(exported)) {
        return source::check_hub_snapshot(exported);
    }
    std::vector<std::string> findings;
    if (needs_marker(exported, run)) {
        findings = exporting::check_marker(exported);
    }
    const std::vector<std::string> more =
        run.empty() ? structure_of(exported) : differences_from(exported, run);
    findings.insert(findings.end(), more.begin(), more.end());
    return findings;
}

} // namespace bitsmith
