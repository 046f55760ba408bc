// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/gguf_parts.h"

#include "base/text.h"
#include "source/side_file.h"
#include "tensor/gguf_writer.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <cctype>

namespace bitsmith::source {
namespace {

constexpr int64_t kMaxParts = 99999; // five digits in the name
/// After so many nobody looks for the others: a file may claim any number of parts.
constexpr std::size_t kMissingParts = 5;

/// 1 for a file that is not split.
int64_t part_count(const tensor::GgufMetadata& metadata)
{
    const int64_t count = metadata.integer("split.count").value_or(0);
    if (count < 0 || count > kMaxParts) {
        fail(ErrorCode::FileCorrupt, "GGUF states an impossible number of parts",
            {{"file", metadata.file()}, {"field", "split.count"}, {"found", concat(count)},
                {"allowed", concat("0 to ", kMaxParts)}});
    }
    return std::max<int64_t>(count, 1);
}

/// NAME of NAME-00001-of-0000N.gguf.
std::string part_stem(const std::filesystem::path& file, std::size_t count)
{
    const std::string name = file.filename().string();
    const std::string first = tensor::gguf_part_name("", 0, count);
    const std::string_view end = std::string_view(first).substr(std::string_view("-00001").size());
    const std::string number = name.ends_with(end) && name.size() >= first.size()
        ? name.substr(name.size() - first.size(), first.size() - end.size())
        : "";
    const bool is_number = !number.empty() && number[0] == '-'
        && std::all_of(
            number.begin() + 1, number.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
    if (!is_number) {
        fail(ErrorCode::FileNotFound, "GGUF is one part of several and its name does not say which",
            {{"file", file.string()}, {"field", "split.count"}, {"found", concat(count)},
                {"allowed", tensor::gguf_part_name("NAME", 0, count)}},
            "Give the parts the names they were published with.");
    }
    return name.substr(0, name.size() - first.size());
}

void check_part(const tensor::GgufReader& part, std::size_t index, std::size_t count)
{
    const tensor::GgufMetadata& metadata = part.metadata();
    const int64_t number = metadata.integer("split.no").value_or(0);
    const bool belongs = part_count(metadata) == static_cast<int64_t>(count)
        && (count == 1 || number == static_cast<int64_t>(index));
    if (!belongs) {
        fail(ErrorCode::FileCorrupt, "GGUF parts do not belong together",
            {{"file", part.name()}, {"field", "split.no, split.count"},
                {"found", concat(number, " of ", part_count(metadata))},
                {"allowed", concat(index, " of ", count)}},
            "Name the first part of a complete set.");
    }
}

} // namespace

GgufParts::GgufParts(const std::vector<std::shared_ptr<const ByteSource>>& parts)
{
    readers_.reserve(parts.size()); // locations point into it
    for (const auto& part : parts) {
        readers_.emplace_back(part);
    }
    for (std::size_t i = 0; i < readers_.size(); ++i) {
        check_part(readers_[i], i, readers_.size());
        for (const tensor::GgufTensor& tensor : readers_[i].tensors()) {
            if (!tensors_.emplace(tensor.name, GgufLocation{&readers_[i], &tensor}).second) {
                fail(ErrorCode::FileCorrupt, "two GGUF parts hold the same tensor",
                    {{"file", readers_[i].name()}, {"tensor", tensor.name}});
            }
        }
    }
    const auto stated = metadata().integer("split.tensors.count");
    if (stated && *stated != static_cast<int64_t>(tensors_.size())) {
        fail(ErrorCode::FileCorrupt, "GGUF parts do not hold all tensors",
            {{"file", metadata().file()}, {"field", "split.tensors.count"},
                {"found", concat(tensors_.size(), " tensors")}, {"allowed", concat(*stated)}});
    }
}

std::shared_ptr<const GgufParts> GgufParts::open(const std::filesystem::path& file)
{
    std::vector<std::shared_ptr<const ByteSource>> sources{map_file(file)};
    const auto count =
        static_cast<std::size_t>(part_count(tensor::GgufReader(sources.front()).metadata()));
    if (count == 1) {
        return std::make_shared<const GgufParts>(sources);
    }
    const std::string stem = part_stem(file, count);
    sources.clear();
    std::vector<std::string> missing;
    for (std::size_t i = 0; i < count && missing.size() < kMissingParts; ++i) {
        const std::filesystem::path part =
            file.parent_path() / tensor::gguf_part_name(stem, i, count);
        if (std::filesystem::is_regular_file(part)) {
            require_inside(file.parent_path(), part);
            sources.push_back(map_file(part));
        } else {
            missing.push_back(part.filename().string());
        }
    }
    if (!missing.empty()) {
        fail(ErrorCode::FileNotFound, "parts of a split GGUF are missing",
            {{"file", file.string()}, {"field", "split.count"}, {"found", concat(count)},
                {"missing", join(missing, ", ") + (missing.size() < kMissingParts ? "" : ", ...")}},
            "Download the missing parts into the same folder.");
    }
    return std::make_shared<const GgufParts>(sources);
}

const tensor::GgufTensor* GgufParts::find(std::string_view name) const
{
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : found->second.tensor;
}

void GgufParts::check_unchanged() const
{
    for (const tensor::GgufReader& reader : readers_) {
        reader.check_unchanged();
    }
}

} // namespace bitsmith::source
