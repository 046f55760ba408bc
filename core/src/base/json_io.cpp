// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/json_io.h"

#include "base/file_ops.h"
#include "base/text.h"

#include <bitsmith/error.h>

#include <unordered_set>

namespace bitsmith {

namespace {

/// Character iterator that tells the handler how far the parser has read.
class CountingIterator
{
public:
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = const char&;

    CountingIterator(const char* at, const char** progress)
        : at_(at)
        , progress_(progress)
    { }
    reference operator*() const { return *at_; }
    CountingIterator& operator++()
    {
        *progress_ = ++at_;
        return *this;
    }
    CountingIterator operator++(int)
    {
        CountingIterator old = *this;
        ++*this;
        return old;
    }
    bool operator==(const CountingIterator& other) const { return at_ == other.at_; }

private:
    const char* at_;
    const char** progress_;
};

/// Builds the tree while the parser runs, so that a limit is hit before memory is taken. Members
/// are appended without the library's linear search for the key, which would make large objects
/// quadratic.
class Builder : public nlohmann::json_sax<Json>
{
public:
    Builder(std::string_view text, std::string_view origin, JsonLimits limits)
        : read(text.data())
        , text_(text)
        , origin_(origin)
        , limits_(limits)
    { }

    bool null() override { return add(nullptr); }
    bool boolean(bool value) override { return add(value); }
    bool number_integer(number_integer_t value) override { return add(value); }
    bool number_unsigned(number_unsigned_t value) override { return add(value); }
    bool number_float(number_float_t value, const string_t&) override { return add(value); }
    bool string(string_t& value) override { return add(std::move(value)); }
    bool binary(binary_t&) override { return false; }

    bool start_object(std::size_t) override
    {
        open(Json::object());
        keys_.emplace_back();
        return true;
    }
    bool key(string_t& name) override
    {
        if (!keys_.back().insert(name).second) {
            fail_here(concat("duplicate key \"", name, "\""), read);
        }
        key_ = std::move(name);
        return true;
    }
    bool end_object() override
    {
        keys_.pop_back();
        open_.pop_back();
        return true;
    }
    bool start_array(std::size_t) override
    {
        open(Json::array());
        return true;
    }
    bool end_array() override
    {
        open_.pop_back();
        return true;
    }

    bool parse_error(
        std::size_t position, const std::string&, const nlohmann::detail::exception& error) override
    {
        const std::string what = error.what();
        // The library's text begins with its own tag and position; ours stands in the context.
        const std::size_t cut = what.find(": ");
        const std::size_t at = std::min(position > 0 ? position - 1 : 0, text_.size());
        std::string message = cut == std::string::npos ? what : what.substr(cut + 2);
        if (at < text_.size() && (text_[at] == 'N' || text_[at] == 'I')) {
            message += " (NaN and Infinity are not JSON)";
        }
        fail_here(message, text_.data() + at);
    }

    [[noreturn]] void fail_here(const std::string& message, const char* where) const
    {
        const auto at = static_cast<std::size_t>(where - text_.data());
        const std::string_view before = text_.substr(0, std::min(at, text_.size()));
        const auto line = std::count(before.begin(), before.end(), '\n') + 1;
        const std::size_t line_start = before.rfind('\n') + 1; // npos + 1 is 0
        fail(ErrorCode::FileCorrupt, "invalid JSON: " + message,
            {{"file", std::string(origin_)}, {"line", std::to_string(line)},
                {"column", std::to_string(before.size() - line_start + 1)}});
    }

    Json root;
    const char* read;

private:
    Json* place(Json value)
    {
        if (++n_values_ > limits_.values) {
            fail_here(concat("more than ", limits_.values, " values"), read);
        }
        if (open_.empty()) {
            root = std::move(value);
            return &root;
        }
        Json& parent = *open_.back();
        if (parent.is_array()) {
            auto& items = parent.get_ref<Json::array_t&>();
            items.push_back(std::move(value));
            return &items.back();
        }
        auto& members = parent.get_ref<Json::object_t&>();
        members.emplace_back(std::move(key_), std::move(value));
        return &members.back().second;
    }
    bool add(Json value)
    {
        place(std::move(value));
        return true;
    }
    void open(Json container)
    {
        if (static_cast<int>(open_.size()) >= limits_.depth) {
            fail_here(concat("nested deeper than ", limits_.depth, " levels"), read);
        }
        open_.push_back(place(std::move(container)));
    }

    std::string_view text_;
    std::string_view origin_;
    JsonLimits limits_;
    int64_t n_values_ = 0;
    std::vector<Json*> open_;
    std::vector<std::unordered_set<std::string>> keys_;
    std::string key_;
};

void refuse_other_encodings(std::string_view text, std::string_view origin)
{
    const bool marked = text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF");
    const bool zeros = text.size() >= 2 && (text[0] == '\0' || text[1] == '\0');
    if (marked || zeros) {
        fail(ErrorCode::FileCorrupt, "invalid JSON: the text is UTF-16 or UTF-32, not UTF-8",
            {{"file", std::string(origin)}, {"line", "1"}, {"column", "1"}},
            "Save the file as UTF-8.");
    }
}

} // namespace

Json parse_json(std::string_view text, std::string_view origin, JsonLimits limits)
{
    if (static_cast<int64_t>(text.size()) > limits.bytes) {
        fail(ErrorCode::FileCorrupt, "JSON text is too large",
            {{"file", std::string(origin)},
                {"found", format_bytes(static_cast<int64_t>(text.size()))},
                {"allowed", format_bytes(limits.bytes)}});
    }
    refuse_other_encodings(text, origin);
    if (text.starts_with("\xEF\xBB\xBF")) {
        text.remove_prefix(3);
    }
    Builder builder(text, origin, limits);
    const CountingIterator begin(text.data(), &builder.read);
    const CountingIterator end(text.data() + text.size(), &builder.read);
    const bool parsed = Json::sax_parse(begin, end, &builder);
    BITSMITH_ASSERT(parsed); // every refusal throws
    return std::move(builder.root);
}

Json read_json_file(const std::filesystem::path& file, JsonLimits limits)
{
    return parse_json(read_text_file(file, limits.bytes), file.string(), limits);
}

} // namespace bitsmith
