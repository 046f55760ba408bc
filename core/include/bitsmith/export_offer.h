// SPDX-License-Identifier: GPL-3.0-or-later
// What a finished run can be exported to, and how an export is served.
#pragma once

#include <bitsmith/job_spec.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bitsmith {

/// One format of the catalogue as a choice for one run.
struct ExportOffer
{
    std::string format; ///< id
    std::string name; ///< title for people
    bool fits = false;
    std::string why_not; ///< the first reason, one sentence; empty when it fits
    int64_t bytes = 0; ///< of all files, from headers; an upper bound. 0 when it does not fit
    double bits_per_parameter = 0; ///< of those bytes, over all parameters of the model
    std::vector<std::string> runtimes; ///< programs that load it
    /// Scheme of another run with which the format fits, see own_run. Empty: it fits already, or
    /// none is known.
    std::string own_scheme = {};
};

/// An offer per format of the catalogue: those that fit by size, smallest first, then the others.
/// Headers only; under a second. Throws InvalidSpec when the run is not finished, and what opening
/// its model throws.
std::vector<ExportOffer> export_offers(const std::filesystem::path& run);
/// The job of `run` again for a format that cannot hold it: with `scheme`, without the rules and
/// the type of the cache that the format refuses, exported to nothing else, in a folder of its own.
/// All other settings stay.
JobSpec own_run(const JobSpec& run, const std::string& format, const std::string& scheme);
/// {"offers": [...]}
std::string document(const std::vector<ExportOffer>& offers);

/// What exports of a run say and hold besides its weights.
struct ExportFacts
{
    /// As the run's job asks for; empty texts are filled with what is known of the model.
    ExportDetails details;
    std::string tokenizer; ///< kind ("BPE"); empty: the model has none
    bool has_chat_template = false;
};
/// Headers only. Throws as export_offers does.
ExportFacts export_facts(const std::filesystem::path& run);

/// README.md as an export of `run` in `format` would hold it, with `details` in place of those of
/// its job. Headers only. Throws as export_offers does, and UnsupportedFormat; for a format that does
/// not fit what its exporter throws.
std::string preview_card(const std::filesystem::path& run, const std::string& format,
    const std::optional<ExportDetails>& details = {});

/// One file of an export.
struct ExportFile
{
    std::string name; ///< relative, with '/'
    int64_t bytes = 0;
    std::string sha256; ///< when it was written

    bool operator==(const ExportFile&) const = default;
};
/// What the list in an export's folder says. Throws FileNotFound, FileCorrupt.
std::vector<ExportFile> exported_files(const std::filesystem::path& exported);

/// The command line that serves the export at `exported` with the usual runtime of `format`, quoted
/// for a POSIX shell; empty when none is known. Throws UnsupportedFormat for a format that does not
/// exist, FileNotFound where the command names a file inside the export and there is none.
std::string serve_command(const std::string& format, const std::filesystem::path& exported);

enum class ServeKind
{
    Command, ///< line of a POSIX shell
    Modelfile, ///< file that Ollama makes a model from
    Python
};
/// What one program is given to run an export.
struct ServeText
{
    std::string runtime; ///< "llama.cpp", see FormatInfo::runtimes
    ServeKind kind = ServeKind::Command;
    std::string text; ///< one line, or several that end with a newline

    bool operator==(const ServeText&) const = default;
};
/// One per program that loads `format` and whose text is known, the usual one first. Without that of
/// Ollama for a GGUF of several files, which it does not take. Throws as serve_command does.
std::vector<ServeText> serve_texts(
    const std::string& format, const std::filesystem::path& exported);

/// The command line of the Hugging Face Hub's own tool that publishes the export; "ACCOUNT" in it
/// is for the user to replace.
std::string upload_command(const std::filesystem::path& exported);

} // namespace bitsmith
