// SPDX-License-Identifier: GPL-3.0-or-later
// `bitsmith.json`, the completion marker: the last file of an export. It lists every file with size
// and SHA-256 and says what was done. It holds no time, path or host name, so that equal runs give
// equal bytes.
#pragma once

#include "base/json_io.h"
#include "export/exporter.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bitsmith::exporting {

inline constexpr const char* kMarkerFile = "bitsmith.json";
inline constexpr int64_t kMarkerSchemaVersion = 1;

/// Text of the marker for the files that now lie in `folder`.
std::string build_marker(
    const Exporter& exporter, const ExportInput& input, const std::filesystem::path& folder);

/// The programs that load the export by its marker; none when it has no marker that says so.
std::optional<std::vector<std::string>> marked_runtimes(const std::filesystem::path& exported);

/// Compares the marker of `folder` with its files: missing, additional, changed. Empty: all is well.
std::vector<std::string> check_marker(const std::filesystem::path& folder);

/// Files below `folder`, relative, sorted, with '/' as separator.
std::vector<std::string> files_below(const std::filesystem::path& folder);

} // namespace bitsmith::exporting
