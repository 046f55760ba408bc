// SPDX-License-Identifier: GPL-3.0-or-later
// `verify`: is an export still what was written, and what was tuned? Is a download whole?
#include "export/exporter.h"
#include "export/marker.h"
#include "run/touched_model.h"
#include "source/hub_snapshot.h"

#include <bitsmith/job.h>

namespace bitsmith {

namespace fs = std::filesystem;

std::vector<std::string> verify_export(const fs::path& exported, const fs::path& run)
{
    if (!fs::exists(exported)) {
        fail(ErrorCode::FileNotFound, "there is no export here", {{"file", exported.string()}});
    }
    if (source::is_hub_snapshot(exported)) {
        return source::check_hub_snapshot(exported);
    }
    const exporting::Exporter& exporter = exporting::exporter_of(exported);
    std::vector<std::string> findings;
    // A lone file has no marker beside it that speaks for it alone.
    if (fs::is_directory(exported)) {
        findings = exporting::check_marker(exported);
    }
    std::vector<std::string> more;
    if (run.empty()) {
        more = exporter.verify(exported, nullptr);
    } else {
        const auto folder = RunFolder::open(run);
        const auto model = touched_model(source::open_model(folder->spec().model.path), *folder);
        const exporting::ExportInput input{*model, folder->plan(), *folder, folder->spec()};
        more = exporter.verify(exported, &input);
    }
    findings.insert(findings.end(), more.begin(), more.end());
    return findings;
}

} // namespace bitsmith
