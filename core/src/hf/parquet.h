// SPDX-License-Identifier: GPL-3.0-or-later
// Columns of parquet files, the format of most data sets on the Hub.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

struct bsb_parquet;

namespace bitsmith::hf {

struct ParquetColumn
{
    std::string name;
    std::string type; ///< string, bytes, boolean, integer, number, list or group
};

/// Reads rows in order, a batch at a time. Move-only; one thread.
class ParquetFile
{
public:
    /// Throws FileNotFound, and FileCorrupt naming the file.
    static ParquetFile open(const std::filesystem::path& file);

    const std::vector<ParquetColumn>& columns() const { return columns_; }
    int64_t rows() const;

    /// Chooses top-level columns and starts at the first row. Throws InvalidSpec listing the
    /// columns there are when one is absent.
    void select(const std::vector<std::string>& names);
    /// The next rows as the text of a JSON array of objects; "[]" at the end.
    std::string next_json(int64_t max_rows);
    /// The next values of a column of type string, chosen alone; null values are empty. Empty at
    /// the end. Throws InvalidSpec when a value is not text.
    std::vector<std::string> next_texts(int64_t max_rows);

private:
    struct Free
    {
        void operator()(bsb_parquet* file) const;
    };
    ParquetFile(bsb_parquet* native, std::string name);

    std::unique_ptr<bsb_parquet, Free> native_;
    std::string name_;
    std::vector<ParquetColumn> columns_;
    std::vector<std::string> selected_;
};

} // namespace bitsmith::hf
