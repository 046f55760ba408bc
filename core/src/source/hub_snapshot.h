// SPDX-License-Identifier: GPL-3.0-or-later
// A downloaded revision in the Hub cache: "snapshots/REVISION/NAME" links to "../../blobs/HASH".
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bitsmith::source {

bool is_hub_snapshot(const std::filesystem::path& folder);
/// "org/name" of such a folder, which its cache keeps in "models--org--name"; empty for any other.
std::string hub_repository(const std::filesystem::path& folder);

/// Compares the large files with the SHA-256 that the Hub published them under, which is the name
/// of their blob. Shards of two downloads that fit together by shape are found only in this way.
/// One text per finding, and one when there was nothing to compare.
std::vector<std::string> check_hub_snapshot(const std::filesystem::path& folder);

} // namespace bitsmith::source
