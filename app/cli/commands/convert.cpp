// SPDX-License-Identifier: GPL-3.0-or-later
// Commands that write finished weights in another format: export (of a run), convert (of a model).
#include "args.h"
#include "commands.h"
#include "result_table.h"
#include "run_name.h"
#include "text_format.h"
#include "watch.h"

#include <bitsmith/documents.h>
#include <bitsmith/export_offer.h>
#include <bitsmith/job.h>
#include <bitsmith/run_reader.h>

namespace bitsmith::cli {

namespace {

std::string joined(const std::vector<std::string>& words)
{
    std::string text;
    for (const std::string& word : words) {
        text += (text.empty() ? "" : ", ") + word;
    }
    return text;
}

void print_offers(std::ostream& out, const std::vector<ExportOffer>& offers)
{
    std::vector<std::vector<std::string>> fitting = {
        {"format", "size", "bits per parameter", "loaded by"}};
    std::vector<std::vector<std::string>> others = {{"format", "quantize with", "why"}};
    for (const ExportOffer& offer : offers) {
        if (offer.fits) {
            fitting.push_back({offer.format, bytes_text(offer.bytes),
                fixed_text(offer.bits_per_parameter, 2), joined(offer.runtimes)});
        } else {
            others.push_back(
                {offer.format, offer.own_scheme.empty() ? "-" : offer.own_scheme, offer.why_not});
        }
    }
    print_columns(out, fitting, true);
    if (others.size() > 1) {
        out << "\nnot for this run:\n";
        print_columns(out, others, true);
    }
}

/// What was written, and how to run it where that is known.
void print_written(
    std::ostream& out, const std::string& format, const std::string& path, int64_t bytes)
{
    out << path << ", " << bytes_text(bytes) << '\n';
    if (const std::string command = serve_command(format, path); !command.empty()) {
        out << "serve it with: " << command << '\n';
    }
}

} // namespace

Action add_export(CLI::App& app)
{
    struct Options
    {
        std::string run, format, output;
        WatchOptions watch;
    };
    auto options = std::make_shared<Options>();
    app.add_option("RUN", options->run, "finished run: folder or name")->required();
    auto* format = app.add_option("--format", options->format,
        "see 'list formats'; without it, what the run can be exported to");
    auto* output = add_option(app, "output", options->output, "folder that does not exist yet");
    format->needs(output);
    output->needs(format);
    const auto details = add_detail_flags(app);
    for (CLI::Option* flag : app.get_options(
             [](const CLI::Option* option) { return option->get_group() == "exports"; })) {
        flag->needs(format);
    }
    add_watch_options(app, options->watch);
    return [options, details](Console& console) {
        const std::filesystem::path run = find_run(options->run);
        Watch watch(options->watch, console);
        if (options->format.empty()) {
            const auto offers = export_offers(run);
            if (options->watch.json) {
                console.out << document(offers);
            } else {
                print_offers(watch.results(), offers);
            }
            return kExitDone;
        }
        const ExportReport report = export_run(run, options->format, options->output,
            watch.observer(), watch.control(), build_spec(*details, read_run_spec(run)).exports);
        watch.finish();
        if (options->watch.json) {
            console.out << document(report);
        } else {
            print_written(watch.results(), report.format, report.path, report.bytes);
        }
        return kExitDone;
    };
}

Action add_convert(CLI::App& app)
{
    struct Options
    {
        ConvertOptions convert;
        std::string output;
        WatchOptions watch;
    };
    auto options = std::make_shared<Options>();
    ConvertOptions& convert = options->convert;
    app.add_option("MODEL", convert.model, "folder, .gguf file, or Hub id")->required();
    app.add_option("--format", convert.format,
           "see 'list formats'; bf16, f16 or f32 for a plain folder of that type")
        ->required();
    app.add_option("--type,--dtype", convert.type,
        "decode the weights to bf16, f16 or f32 [codes are taken over as they are]");
    add_option(app, "output", options->output, "folder that does not exist yet")->required();
    add_watch_options(app, options->watch);
    return [options](Console& console) {
        options->convert.output = options->output;
        Watch watch(options->watch, console);
        const ConvertReport report =
            convert_model(options->convert, watch.observer(), watch.control());
        watch.finish();
        if (options->watch.json) {
            console.out << document(report);
        } else {
            print_written(watch.results(), report.format, report.path, report.bytes);
            print_deviations(watch.results(), report.deviations);
        }
        return report.deviations.empty() ? kExitDone : kExitDeviated;
    };
}

} // namespace bitsmith::cli
