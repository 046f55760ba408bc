// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/serve_table.h"

#include "base/json_io.h"
#include "export/gguf/gguf_exporter.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace bitsmith::exporting {

namespace {

constexpr std::array kRows = {
    ServeRow{"llama.cpp", ServeKind::Command, "llama-server -m {file}"},
    ServeRow{"Ollama", ServeKind::Modelfile,
        "# ollama create my-model -f Modelfile\n"
        "# ollama run my-model\n"
        "FROM {file}\n"},
    ServeRow{"vLLM", ServeKind::Command, "vllm serve {path}"},
    ServeRow{"SGLang", ServeKind::Command, "python -m sglang.launch_server --model-path {path}"},
    ServeRow{"mlx-lm", ServeKind::Command, "mlx_lm.server --model {path}"},
    ServeRow{"transformers", ServeKind::Python,
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "\n"
        "path = {path}\n"
        "tokenizer = AutoTokenizer.from_pretrained(path)\n"
        "model = AutoModelForCausalLM.from_pretrained(path)\n"
        "prompt = tokenizer(\"Once upon a time\", return_tensors=\"pt\").to(model.device)\n"
        "print(tokenizer.decode(model.generate(**prompt, max_new_tokens=40)[0]))\n"},
};

std::string quoted(ServeKind kind, const std::string& path)
{
    switch (kind) {
    case ServeKind::Command:
        return shell_word(path);
    case ServeKind::Python: // reads JSON's strings as its own
        return Json(path).dump(-1, ' ', false, Json::error_handler_t::replace);
    case ServeKind::Modelfile: // takes the rest of the line
        break;
    }
    return path;
}

} // namespace

std::vector<ServeRow> serve_rows(const FormatInfo& format)
{
    std::vector<ServeRow> rows;
    std::copy_if(kRows.begin(), kRows.end(), std::back_inserter(rows), [&](const ServeRow& row) {
        return std::find(format.runtimes.begin(), format.runtimes.end(), row.runtime)
            != format.runtimes.end();
    });
    return rows;
}

ServeRow serve_row(std::string_view runtime)
{
    const auto* found = std::find_if(kRows.begin(), kRows.end(),
        [runtime](const ServeRow& row) { return row.runtime == runtime; });
    if (found == kRows.end()) {
        fail(ErrorCode::Internal, "nothing is known of this runtime",
            {{"found", std::string(runtime)}});
    }
    return *found;
}

std::string serve_template(const FormatInfo& format)
{
    for (const ServeRow& row : serve_rows(format)) {
        if (row.kind == ServeKind::Command) {
            return std::string(row.text);
        }
    }
    return {};
}

std::string serve_text(const ServeRow& row, const std::filesystem::path& exported)
{
    std::string text(row.text);
    for (const std::string_view place : {"{path}", "{file}"}) {
        const std::size_t at = text.find(place);
        if (at != std::string::npos) {
            const std::filesystem::path named =
                place == "{file}" ? gguf_file_in(exported) : exported;
            text.replace(at, place.size(), quoted(row.kind, named.string()));
        }
    }
    return text;
}

std::string shell_word(const std::string& text)
{
    const auto is_plain = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0
            || std::string_view("/._-+=:,@%").find(c) != std::string_view::npos;
    };
    if (!text.empty() && std::all_of(text.begin(), text.end(), is_plain)) {
        return text;
    }
    std::string quoted = "'";
    for (const char c : text) {
        quoted += c == '\'' ? "'\\''" : std::string(1, c);
    }
    return quoted + "'";
}

} // namespace bitsmith::exporting
