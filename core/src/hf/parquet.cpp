// SPDX-License-Identifier: GPL-3.0-or-later
#include "hf/parquet.h"

#include "base/json_io.h"
#include "base/text.h"
#include "hf/bridge_call.h"

#include <bitsmith/error.h>

#include <algorithm>

namespace bitsmith::hf {

namespace {

[[noreturn]] void fail_on_file(bsb_status status, const std::string& name, const BridgeError& error)
{
    const ErrorCode code =
        status == BSB_NOT_FOUND ? ErrorCode::FileNotFound : ErrorCode::FileCorrupt;
    fail(code, "cannot read the parquet file: " + error.text(), {{"file", name}});
}

} // namespace

void ParquetFile::Free::operator()(bsb_parquet* file) const
{
    bsb_parquet_free(file);
}

ParquetFile::ParquetFile(bsb_parquet* native, std::string name)
    : native_(native)
    , name_(std::move(name))
{
    BridgeBytes json;
    BridgeError error;
    const bsb_status status = bsb_parquet_columns(native_.get(), json.out(), error.out());
    if (status != BSB_OK) {
        fail_on_file(status, name_, error);
    }
    for (const Json& column : parse_json(json.text(), name_)) {
        columns_.push_back({column.at("name"), column.at("type")});
    }
}

ParquetFile ParquetFile::open(const std::filesystem::path& file)
{
    bsb_parquet* native = nullptr;
    BridgeError error;
    const bsb_status status = bsb_parquet_open(file.string().c_str(), &native, error.out());
    if (status != BSB_OK) {
        fail_on_file(status, file.string(), error);
    }
    return ParquetFile(native, file.string());
}

int64_t ParquetFile::rows() const
{
    return bsb_parquet_rows(native_.get());
}

void ParquetFile::select(const std::vector<std::string>& names)
{
    for (const std::string& name : names) {
        const bool known = std::any_of(columns_.begin(), columns_.end(),
            [&](const ParquetColumn& column) { return column.name == name; });
        if (!known) {
            std::vector<std::string> present;
            for (const ParquetColumn& column : columns_) {
                present.push_back(concat(column.name, " (", column.type, ")"));
            }
            fail(ErrorCode::InvalidSpec, concat("the data set has no column ", printable(name)),
                {{"file", name_}, {"columns", join(present, ", ")}}, "name one of these columns");
        }
    }
    BridgeError error;
    const bsb_status status =
        bsb_parquet_select(native_.get(), join(names, "\n").c_str(), error.out());
    if (status != BSB_OK) {
        fail_on_file(status, name_, error);
    }
    selected_ = names;
}

std::string ParquetFile::next_json(int64_t max_rows)
{
    BITSMITH_ASSERT(!selected_.empty() && max_rows > 0);
    BridgeBytes json;
    BridgeError error;
    const bsb_status status =
        bsb_parquet_next(native_.get(), static_cast<size_t>(max_rows), json.out(), error.out());
    if (status != BSB_OK) {
        fail_on_file(status, name_, error);
    }
    return json.text();
}

std::vector<std::string> ParquetFile::next_texts(int64_t max_rows)
{
    BITSMITH_ASSERT(selected_.size() == 1);
    std::vector<std::string> texts;
    JsonLimits limits;
    limits.bytes = 1LL << 30;
    for (const Json& row : parse_json(next_json(max_rows), name_, limits)) {
        const Json& value = row.at(selected_.front());
        if (!value.is_string() && !value.is_null()) {
            fail(ErrorCode::InvalidSpec, concat("column ", selected_.front(), " is not text"),
                {{"file", name_}}, "choose a column of type string");
        }
        texts.push_back(value.is_null() ? std::string() : value.get<std::string>());
    }
    return texts;
}

} // namespace bitsmith::hf
