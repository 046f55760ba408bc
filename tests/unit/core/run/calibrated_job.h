// SPDX-License-Identifier: GPL-3.0-or-later
// Jobs that calibrate the tiny model on a text.
#pragma once

#include "support/tiny_checkpoint.h"

#include <bitsmith/job.h>

/// 900 numbers in lines of five.
inline std::string calibration_text()
{
    std::string text;
    for (int i = 0; i < 900; ++i) {
        text += "line " + std::to_string(i * i % 97) + (i % 5 == 0 ? ".\n" : ", ");
    }
    return text;
}

/// `recipe` with 16 windows of 64 tokens, a quarter of them held out, and no touch-up; text, run and
/// the auto_round export lie in `temp`.
inline bitsmith::JobSpec calibrated_job(const TinyCheckpoint& tiny, const TempFolder& temp,
    const std::string& scheme, const bitsmith::Recipe& recipe = {})
{
    bitsmith::JobSpec spec;
    spec.model.path = tiny.path();
    spec.scheme.scheme = scheme;
    spec.recipe = recipe;
    spec.recipe.touch_up = bitsmith::TouchUpMode::Off;
    spec.recipe.nsamples = 16;
    spec.recipe.seqlen = 64;
    spec.recipe.batch_size = 4;
    spec.calibration.dataset = temp.write("text.txt", calibration_text()).string();
    spec.calibration.holdout = 0.25;
    spec.exports.formats = {"auto_round"};
    spec.exports.output = (temp / "out").string();
    spec.runtime.run_dir = (temp / "run").string();
    return spec;
}
