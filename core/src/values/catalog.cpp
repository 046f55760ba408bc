// SPDX-License-Identifier: GPL-3.0-or-later
// Short catalogues. Schemes and recipes stand beside their tables; families and formats beside
// their registries (arch/, export/).
#include <bitsmith/catalog.h>

namespace bitsmith {

const std::vector<NamedItem>& metric_catalog()
{
    static const std::vector<NamedItem> catalog = {
        {"kld",
            "KL divergence to the original, nats per token (mean, p99, max) and top-1 agreement"},
        {"ppl", "perplexity of the quantized and the original model"},
    };
    return catalog;
}

const std::vector<NamedItem>& dataset_catalog()
{
    static const std::vector<NamedItem> catalog = {
        {"self", "the model writes its own calibration text from short prompts; no network"},
        {"FILE.txt", "UTF-8 text; blank lines separate documents"},
        {"FILE.json", "list of texts, or of objects with a text field"},
        {"FILE.jsonl", "one text, or object with a text field, per line"},
        {"FILE.safetensors", "token ids: int64 tensor input_ids [samples, tokens]"},
    };
    return catalog;
}

} // namespace bitsmith
