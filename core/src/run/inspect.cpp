// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/model_source.h"

#include <bitsmith/job.h>

namespace bitsmith {

ModelInfo inspect_model(const std::string& model)
{
    return source::open_model(model)->info;
}

} // namespace bitsmith
