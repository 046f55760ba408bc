// SPDX-License-Identifier: GPL-3.0-or-later
// README.md of an export, and what it and the metadata of a GGUF file say about the model.
#pragma once

#include "export/exporter.h"

#include <string>

namespace bitsmith::exporting {

/// Name of the recipe of exports that no job made.
inline constexpr const char* kNoRecipe = "none";

/// `asked`, where its texts are empty with what is known of the model: name, licence by the model's
/// own card, and the Hub id that it was fetched from.
ExportDetails stated_details(const source::ModelSource& model, const ExportDetails& asked);

/// Is `source` a Hub id, "org/name"?
bool is_hub_id(std::string_view source);

/// README.md: what was done, with which program, from which model, what was measured, how to load
/// it.
std::string model_card(const ExportInput& input, const Exporter& exporter);

} // namespace bitsmith::exporting
