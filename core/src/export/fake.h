// SPDX-License-Identifier: GPL-3.0-or-later
// Format `fake`: a plain Hugging Face folder whose quantized weights are decoded, read by
// everything that reads the source. Source: formats.md 9.
//
// Decoded values have the element type of the source's weight; every other tensor is copied. Only
// the completion marker tells such a folder from a model that was never quantized.
#pragma once

#include "export/exporter.h"

namespace bitsmith::exporting {

class FakeExporter : public Exporter
{
public:
    std::string_view id() const override { return "fake"; }
    FormatInfo info() const override;
    std::string refusal(const Scheme& scheme) const override;
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
