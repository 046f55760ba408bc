// SPDX-License-Identifier: GPL-3.0-or-later
// imatrix: measures what the input columns of each layer carry, as llama-imatrix does.
#include "args.h"
#include "commands.h"
#include "text_format.h"
#include "watch.h"

#include <bitsmith/job.h>

namespace bitsmith::cli {

namespace {

struct Options
{
    ImatrixOptions imatrix;
    std::string output;
    WatchOptions watch;
};

void add_options(CLI::App& app, Options& options)
{
    ImatrixOptions& imatrix = options.imatrix;
    app.add_option("MODEL", imatrix.model, "original model: folder, .gguf file, or Hub id")
        ->required();
    app.add_option("--dataset", imatrix.dataset, "text to measure on, as in 'quantize' [self]");
    add_option(app, "output", options.output, "file that does not exist yet")
        ->type_name("FILE.gguf")
        ->required();
    app.add_option("--nsamples", imatrix.nsamples, "windows of text [128]")
        ->check(CLI::Range(int64_t{1}, int64_t{1'048'576}));
    app.add_option("--seqlen", imatrix.seqlen, "tokens per window [512]")
        ->check(CLI::Range(int64_t{2}, int64_t{1'048'576}));
    add_option(app, "batch_size", imatrix.batch_size, "windows computed together [8]")
        ->check(CLI::Range(int64_t{1}, int64_t{65'536}));
    app.add_option("--device", imatrix.device, "cpu, cuda, cuda:N or auto [auto]");
    app.add_option("--threads", imatrix.threads, "CPU threads; 0: all [0]")
        ->check(CLI::Range(0, 4096));
    add_watch_options(app, options.watch);
}

} // namespace

Action add_imatrix(CLI::App& app)
{
    auto options = std::make_shared<Options>();
    add_options(app, *options);
    return [options](Console& console) {
        options->imatrix.output = options->output;
        Watch watch(options->watch, console);
        const ImatrixReport report =
            write_importance(options->imatrix, watch.observer(), watch.control());
        watch.finish();
        if (options->watch.json) {
            console.out << document(report);
        } else {
            watch.results() << report.path << ", " << bytes_text(report.bytes) << ", "
                            << report.layers << " layers, " << report.tokens << " tokens\n";
        }
        return kExitDone;
    };
}

} // namespace bitsmith::cli
