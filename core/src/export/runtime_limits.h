// SPDX-License-Identifier: GPL-3.0-or-later
// Which programs load what of a format: a row per program that does not load all of it, each found by
// its own code (tests/interop/served.py).
#pragma once

#include "export/exporter.h"

#include <string>
#include <vector>

namespace bitsmith::exporting {

/// Those of FormatInfo::runtimes that load such a plan, which the format holds.
std::vector<std::string> loading_runtimes(const Exporter& exporter, const Plan& plan);

/// A sentence for each program of the format that does not load the export, and Exporter::notes.
std::vector<std::string> export_notes(const Exporter& exporter, const ExportInput& input);

} // namespace bitsmith::exporting
