// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <string>

namespace bitsmith::cli {

/// Folder of a run given by path, or by its name under the user's runs. Does not say whether it is
/// a run; readers do.
std::filesystem::path find_run(const std::string& text);

} // namespace bitsmith::cli
