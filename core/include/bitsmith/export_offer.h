// SPDX-License-Identifier: GPL-3.0-or-later
// What a finished run can be exported to, and how an export is served.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bitsmith {

/// One format of the catalogue as a choice for one run.
struct ExportOffer
{
    std::string format; ///< id
    std::string name; ///< title for people
    bool fits = false;
    std::string why_not; ///< the first reason, one sentence; empty when it fits
    int64_t bytes = 0; ///< of all files, from headers; an upper bound. 0 when it does not fit
    double bits_per_parameter = 0; ///< of those bytes, over all parameters of the model
    std::vector<std::string> runtimes; ///< programs that load it
};

/// An offer per format of the catalogue: those that fit by size, smallest first, then the others.
/// Headers only; under a second. Throws InvalidSpec when the run is not finished, and what opening
/// its model throws.
std::vector<ExportOffer> export_offers(const std::filesystem::path& run);
/// {"offers": [...]}
std::string document(const std::vector<ExportOffer>& offers);

/// The command line that serves the export at `exported` with the usual runtime of `format`, quoted
/// for a POSIX shell; empty when none is known. Throws UnsupportedFormat for a format that does not
/// exist, FileNotFound where the command names a file inside the export and there is none.
std::string serve_command(const std::string& format, const std::filesystem::path& exported);

} // namespace bitsmith
