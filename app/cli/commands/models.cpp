// SPDX-License-Identifier: GPL-3.0-or-later
// Commands that read models: inspect, eval, generate, trace, verify.
#include "args.h"
#include "commands.h"
#include "result_table.h"
#include "run_name.h"
#include "watch.h"

#include <bitsmith/documents.h>
#include <bitsmith/job.h>
#include <bitsmith/spec_json.h>

namespace bitsmith::cli {

namespace {

/// Passes the text of a generation on as it is produced.
class TextPrinter : public Observer
{
public:
    explicit TextPrinter(std::ostream& out)
        : out_(out)
    { }
    void on_event(const Event& event) override
    {
        if (const auto* produced = event.get_if<TextProduced>()) {
            out_ << produced->text << std::flush;
        }
    }

private:
    std::ostream& out_;
};

void add_device(CLI::App& app, std::string& device)
{
    app.add_option("--device", device, "cpu, cuda, cuda:N or auto [auto]");
}

void add_threads(CLI::App& app, int64_t& threads)
{
    app.add_option("--threads", threads, "CPU threads; 0: all [0]")->check(CLI::Range(0, 4096));
}

} // namespace

Action add_inspect(CLI::App& app)
{
    struct Options
    {
        std::string model;
        bool json = false;
    };
    auto options = std::make_shared<Options>();
    app.add_option("MODEL", options->model, "Hugging Face folder, .gguf file, or Hub id")
        ->required();
    add_json_option(app, options->json);
    return [options](Console& console) {
        const ModelInfo info = inspect_model(options->model);
        if (options->json) {
            console.out << to_json(info);
        } else {
            print_model(console.out, info);
        }
        return kExitDone;
    };
}

Action add_eval(CLI::App& app)
{
    struct Options
    {
        EvalOptions eval;
        WatchOptions watch;
    };
    auto options = std::make_shared<Options>();
    EvalOptions& eval = options->eval;
    app.add_option("MODEL", eval.model, "model to measure: folder, .gguf file, or Hub id")
        ->required();
    app.add_option("--reference", eval.reference, "original to compare with (KL, top token)");
    app.add_option("--text", eval.text, "UTF-8 file, or .safetensors with input_ids")->required();
    app.add_option("--tokens", eval.tokens, "tokens to measure on [8192]")
        ->check(CLI::Range(int64_t{2}, int64_t{1'000'000'000}));
    app.add_option("--seqlen", eval.seqlen, "window [512]")
        ->check(CLI::Range(int64_t{2}, int64_t{1'048'576}));
    add_device(app, eval.device);
    add_threads(app, eval.threads);
    add_watch_options(app, options->watch);
    return [options](Console& console) {
        Watch watch(options->watch, console);
        const EvalReport report = evaluate(options->eval, watch.observer(), watch.control());
        watch.finish();
        if (options->watch.json) {
            console.out << to_json(report);
        } else {
            print_eval(watch.results(), report);
        }
        return kExitDone;
    };
}

Action add_generate(CLI::App& app)
{
    struct Options
    {
        GenerateOptions generate;
        bool json = false;
    };
    auto options = std::make_shared<Options>();
    GenerateOptions& g = options->generate;
    app.add_option("MODEL", g.model, "folder, .gguf file, or Hub id")->required();
    app.add_option("--prompt", g.prompt, "text to continue, or question with --chat")->required();
    app.add_flag("--chat", g.chat, "ask through the model's chat template");
    add_option(app, "max_tokens", g.max_tokens, "most tokens to produce [128]")
        ->check(CLI::Range(int64_t{1}, int64_t{1'048'576}));
    app.add_option("--temperature", g.temperature, "0: always the most likely token [0]")
        ->check(CLI::Range(0.0, 100.0));
    add_option(app, "top_k", g.top_k, "sample among the K most likely; 0: all [0]")
        ->check(CLI::Range(int64_t{0}, int64_t{1'000'000}));
    add_option(app, "top_p", g.top_p, "sample among tokens of this total probability [1]")
        ->check(CLI::Range(0.0, 1.0));
    app.add_option("--seed", g.seed, "random seed [42]");
    add_device(app, g.device);
    add_threads(app, g.threads);
    add_json_option(app, options->json);
    return [options](Console& console) {
        RunControl control;
        const InterruptScope interrupts(control);
        TextPrinter printer(console.out);
        NullObserver silent;
        Observer& observer = options->json ? static_cast<Observer&>(silent) : printer;
        const std::string text = generate(options->generate, observer, control);
        console.out << (options->json ? text_document(text) : std::string("\n"));
        return kExitDone;
    };
}

Action add_trace(CLI::App& app)
{
    struct Options
    {
        TraceOptions trace;
        std::string output;
        bool json = false;
    };
    auto options = std::make_shared<Options>();
    app.add_option("MODEL", options->trace.model, "folder, .gguf file, or Hub id")->required();
    auto* ids = app.add_option("--ids", options->trace.ids, "token ids 1,2,3")->delimiter(',');
    app.add_option("--text", options->trace.text, "text to tokenize")->excludes(ids);
    app.add_option("--output", options->output, "file to write")
        ->type_name("FILE.safetensors")
        ->required();
    add_threads(app, options->trace.threads);
    add_json_option(app, options->json);
    app.callback([options] {
        if (options->trace.ids.empty() && options->trace.text.empty()) {
            throw CLI::ValidationError("trace", "one of --ids and --text is needed");
        }
    });
    return [options](Console& console) {
        options->trace.output = options->output;
        RunControl control;
        const InterruptScope interrupts(control);
        trace(options->trace, control);
        if (options->json) {
            console.out << document("outputs", {NamedItem{options->output, "trace"}});
        } else {
            console.out << options->output << '\n';
        }
        return kExitDone;
    };
}

Action add_verify(CLI::App& app)
{
    struct Options
    {
        std::string folder, run;
        bool json = false;
    };
    auto options = std::make_shared<Options>();
    app.add_option("DIR", options->folder,
           "model (folder or .gguf file) of any program, or a snapshot of the Hub cache")
        ->required();
    app.add_option("--run", options->run, "run to compare values with: folder or name");
    add_json_option(app, options->json);
    return [options](Console& console) {
        const auto findings =
            verify_export(options->folder, options->run.empty() ? "" : find_run(options->run));
        if (options->json) {
            console.out << findings_document(findings);
        } else if (findings.empty()) {
            console.out << options->folder << ": all is well\n";
        } else {
            for (const std::string& finding : findings) {
                console.out << finding << '\n';
            }
        }
        return findings.empty() ? kExitDone : kExitFailed;
    };
}

} // namespace bitsmith::cli
