// SPDX-License-Identifier: GPL-3.0-or-later
// Models and data sets of the Hub, kept in its standard cache folder. Obeys HF_HOME, HF_HUB_CACHE,
// HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE. Nothing is fetched unless a remote name was given.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitsmith::hf {

struct HubRequest
{
    std::string repository; ///< "org/name"
    std::string revision = "main"; ///< branch, tag or commit
    bool is_dataset = false;
    /// Files to fetch, with `*` (also over `/`); `!` in front leaves out what the others take.
    std::vector<std::string> patterns;
};

/// What a model folder of ours needs: JSON, safetensors, tokenizer, templates. No pickles.
std::vector<std::string> model_file_patterns();
/// Parquet, JSON, JSONL and text files of a data set.
std::vector<std::string> dataset_file_patterns();

/// "org/name" or "org/name@revision"; nothing when `name` is not of that form. Does not look at the
/// disk: a caller who also takes folders tries these first. Throws UnsupportedFormat for
/// "modelscope:…", which is not fetched yet.
std::optional<HubRequest> parse_hub_name(std::string_view name);

/// Called often from the fetching thread; false cancels. `total` is 0 while it is not known.
using HubProgress = std::function<bool(std::string_view file, int64_t done, int64_t total)>;

/// Fetches what is absent and returns the snapshot folder. SHA-256 sums that the Hub states are
/// checked. Throws Cancelled, or Error with FileNotFound, FileCorrupt or WriteFailed, whose context
/// has "reason": no_network, denied, not_found, rate_limited, server, disk or corrupt.
std::filesystem::path fetch_snapshot(const HubRequest& request, const HubProgress& progress = {});

} // namespace bitsmith::hf
