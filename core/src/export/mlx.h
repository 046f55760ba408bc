// SPDX-License-Identifier: GPL-3.0-or-later
// Format `mlx`: a folder that mlx-lm loads on Apple silicon. Source: formats.md 8.
//
// Integers of 2 to 8 bits with a scale and an offset per group, MXFP4 and MXFP8, mixed as the plan
// says. Every other tensor is copied as it is stored.
#pragma once

#include "export/exporter.h"

namespace bitsmith::exporting {

class MlxExporter : public Exporter
{
public:
    std::string_view id() const override { return "mlx"; }
    FormatInfo info() const override;
    std::string refusal(const Scheme& scheme) const override;
    std::string model_refusal(const ModelInfo& model) const override;
    std::string shape_refusal(const PlannedLayer& layer) const override;
    bool recognizes(const std::filesystem::path& exported) const override;
    int64_t estimate_bytes(const ExportInput& input) const override;
    std::vector<std::string> notes(const ExportInput& input) const override;
    CardText card_text(const ExportInput& input) const override;
    void write(RunContext& context, FileSystem& fs, const ExportInput& input,
        const std::filesystem::path& folder) const override;
    std::vector<std::string> verify(
        const std::filesystem::path& folder, const ExportInput* input) const override;
};

} // namespace bitsmith::exporting
