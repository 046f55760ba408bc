// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/hub_snapshot.h"

#include "base/file_ops.h"
#include "base/text.h"

#include <algorithm>
#include <cctype>

namespace bitsmith::source {

namespace fs = std::filesystem;

namespace {

/// Small files are stored under a Git hash of 40 digits instead, which also covers their length.
bool is_sha256(const std::string& name)
{
    return name.size() == 64 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return std::isxdigit(c) != 0;
    });
}

} // namespace

bool is_hub_snapshot(const fs::path& folder)
{
    std::error_code error;
    const fs::path home = fs::canonical(folder, error);
    return !error && fs::is_directory(home, error) && home.parent_path().filename() == "snapshots"
        && fs::is_directory(home.parent_path().parent_path() / "blobs", error);
}

std::string hub_repository(const fs::path& folder)
{
    constexpr std::string_view prefix = "models--", slash = "--";
    if (!is_hub_snapshot(folder)) {
        return {};
    }
    std::string name = fs::canonical(folder).parent_path().parent_path().filename().string();
    if (!name.starts_with(prefix)) {
        return {};
    }
    name.erase(0, prefix.size());
    if (const std::size_t at = name.find(slash); at != std::string::npos) {
        name.replace(at, slash.size(), "/");
    }
    return name;
}

std::vector<std::string> check_hub_snapshot(const fs::path& folder)
{
    std::vector<std::string> findings;
    int64_t compared = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (!entry.is_symlink()) {
            continue;
        }
        const std::string name = entry.path().lexically_relative(folder).string();
        std::error_code error;
        const fs::path blob = fs::canonical(entry.path(), error);
        if (error) {
            findings.push_back(concat(name, ": the file is missing"));
            continue;
        }
        const std::string expected = blob.filename().string();
        if (!is_sha256(expected)) {
            continue;
        }
        ++compared;
        if (const std::string found = sha256_file(blob); found != lower(expected)) {
            findings.push_back(concat(
                name, ": SHA-256 is ", found, ", published as ", expected, "; fetch it again"));
        }
    }
    if (compared == 0 && findings.empty()) {
        findings.emplace_back("no file of the snapshot is stored under its SHA-256: nothing was "
                              "compared");
    }
    std::sort(findings.begin(), findings.end());
    return findings;
}

} // namespace bitsmith::source
