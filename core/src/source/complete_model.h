// SPDX-License-Identifier: GPL-3.0-or-later
// From "config and tensors" to "a model that is known to fit together".
#pragma once

#include "source/model_source.h"

namespace bitsmith::source {

/// An opener sets path, kind, config (without quantization_config), tensors, side_files,
/// info.fingerprint, info.quantization and info.warnings; this fills spec, family and the rest of
/// info. The stored tensors win over config.json where both say something: the element type and the
/// tie of the head are corrected in `config`, each with a warning. Throws UnsupportedModel,
/// InvalidSpec, MissingTensor, ShapeMismatch (rows 5-13 and 21 of ahead.md 5).
void complete_model(ModelSource& source);

} // namespace bitsmith::source
