// SPDX-License-Identifier: GPL-3.0-or-later
// Finished runs of the tiny model, for tests of what is made from them.
#pragma once

#include "support/tiny_checkpoint.h"

#include <bitsmith/job.h>

#include <stdexcept>

namespace rounded_run {

using Model = TinyCheckpoint;

/// A job that rounds the model at `path` into `run_dir`, and writes no export.
inline bitsmith::JobSpec spec(
    const std::string& path, const std::string& scheme, const std::filesystem::path& run_dir)
{
    bitsmith::JobSpec spec;
    spec.model.path = path;
    spec.scheme.scheme = scheme;
    spec.recipe = bitsmith::named_recipe("rtn");
    spec.exports.formats = {};
    spec.runtime.run_dir = run_dir.string();
    return spec;
}

inline void finish(const bitsmith::JobSpec& spec)
{
    bitsmith::NullObserver silent;
    const bitsmith::Outcome outcome = bitsmith::run(spec, false, silent, {});
    if (outcome.state != bitsmith::JobState::Done) {
        throw std::runtime_error(outcome.message);
    }
}

} // namespace rounded_run
