// SPDX-License-Identifier: GPL-3.0-or-later
// Does a format hold a run, and if not, which run of its own would it hold?
#pragma once

#include "export/exporter.h"

namespace bitsmith {

struct Fit
{
    std::string why_not; ///< the first reason, one sentence; empty: it fits
    int64_t bytes = 0; ///< of all files, an upper bound; 0 when it does not fit
};
Fit fit_of(const exporting::Exporter& exporter, const exporting::ExportInput& input);

/// The scheme of the catalogue with which the format holds a run of the same model and settings: of
/// the format's own kind where it has one, then nearest to the run in the bits of its activations and
/// its weights. Empty: none.
std::string own_scheme(const exporting::Exporter& exporter, const exporting::ExportInput& input);

} // namespace bitsmith
