// SPDX-License-Identifier: GPL-3.0-or-later
// The demonstration job.
#include "base/text.h"
#include "base/timing.h"

#include <bitsmith/job.h>
#include <bitsmith/run_reader.h>

#include <cstdlib>

namespace bitsmith {

namespace {

std::filesystem::path cache_folder()
{
    const auto from = [](const char* name) -> std::filesystem::path {
        const char* value = std::getenv(name);
        return value != nullptr && *value != '\0' ? value : "";
    };
    if (const auto own = from("BITSMITH_CACHE"); !own.empty()) {
        return own;
    }
    const auto xdg = from("XDG_CACHE_HOME");
    return (xdg.empty() ? from("HOME") / ".cache" : xdg) / "bitsmith";
}

constexpr const char* kDemoModel = "SmolLM2-135M-Instruct.Q4_1.gguf";

} // namespace

JobSpec demo_job()
{
    JobSpec spec;
    const std::filesystem::path model = cache_folder() / "models" / kDemoModel;
    if (std::filesystem::exists(model)) {
        spec.model.path = model.string();
        // 576 columns: groups of 64 fit, groups of 128 do not.
        spec.scheme.scheme = "W4A16G64";
    } else {
        const std::filesystem::path tiny = cache_folder() / "models" / "tiny";
        if (!std::filesystem::exists(tiny / "config.json")) {
            write_tiny_model(tiny);
        }
        spec.model.path = tiny.string();
        spec.scheme.scheme = "W4A16G32";
    }
    spec.recipe.name = "custom";
    spec.recipe.iters = 16;
    spec.recipe.nsamples = 48;
    spec.recipe.seqlen = 128;
    spec.recipe.batch_size = 8;
    spec.recipe.touch_up = TouchUpMode::Off; // the demonstration is to end within three minutes
    spec.calibration.dataset = "self";
    spec.calibration.holdout = 1.0 / 6;
    spec.exports.formats = {"auto_round"};
    spec.evaluation.metrics = {"kld", "ppl"};
    spec.runtime.run_dir = (default_runs_folder() / concat("demo-", now_ms() / 1000)).string();
    return spec;
}

} // namespace bitsmith
