// SPDX-License-Identifier: GPL-3.0-or-later
// What programs are given to run an export: the one table of these texts.
#pragma once

#include <bitsmith/catalog.h>
#include <bitsmith/export_offer.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace bitsmith::exporting {

struct ServeRow
{
    std::string_view runtime; ///< as FormatInfo::runtimes names it
    ServeKind kind;
    std::string_view text; ///< {path} stands for the export, {file} for the GGUF file in it
};

/// Rows of the runtimes that load `format`, the usual one first; those without a row are left out.
std::vector<ServeRow> serve_rows(const FormatInfo& format);
/// Throws Internal for a runtime without a row.
ServeRow serve_row(std::string_view runtime);
/// Text of the first row that is a command; empty when there is none.
std::string serve_template(const FormatInfo& format);

/// The row's text for the export at `exported`: a command is quoted for a POSIX shell, Python holds
/// string literals. Throws as gguf_file_in does where the text names the file.
std::string serve_text(const ServeRow& row, const std::filesystem::path& exported);

/// One word of a POSIX shell.
std::string shell_word(const std::string& text);

} // namespace bitsmith::exporting
