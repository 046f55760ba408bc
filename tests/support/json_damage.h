// SPDX-License-Identifier: GPL-3.0-or-later
// Every way to damage one value of a JSON document: another value, another kind, absent.
#pragma once

#include "base/json_io.h"

#include <functional>
#include <vector>

namespace bitsmith::test {

/// Small, negative, huge, of another kind.
inline const std::vector<Json>& hostile_values()
{
    static const std::vector<Json> values = {nullptr, true, 0, 1, -1, INT64_MAX, INT64_MIN,
        UINT64_MAX, 0.5, -1e300, "", "x", "../x", std::string("a\0b", 3), Json::array(),
        Json::array({0, -1}), Json::object(), {{"x", Json::array({Json::object()})}}};
    return values;
}

/// Paths of all values below the root, containers included.
inline std::vector<Json::json_pointer> places_in(const Json& document)
{
    std::vector<Json::json_pointer> places;
    const std::function<void(const Json&, const Json::json_pointer&)> visit =
        [&](const Json& value, const Json::json_pointer& at) {
            if (!at.empty()) {
                places.push_back(at);
            }
            for (const auto& [key, child] : value.items()) {
                if (value.is_array()) {
                    visit(child, at / std::stoul(key));
                } else if (value.is_object()) {
                    visit(child, at / key);
                }
            }
        };
    visit(document, Json::json_pointer());
    return places;
}

/// Calls `use` with the document once for every place and every damage to it, and with words for
/// messages.
inline void for_each_damage(const Json& document,
    const std::function<void(const Json& damaged, const std::string& what)>& use)
{
    for (const Json::json_pointer& place : places_in(document)) {
        for (const Json& value : hostile_values()) {
            Json damaged = document;
            damaged[place] = value;
            use(damaged, place.to_string() + " = " + value.dump());
        }
        Json damaged = document;
        Json& parent = damaged[place.parent_pointer()];
        if (parent.is_object()) {
            parent.erase(place.back());
        } else {
            parent.erase(std::stoul(place.back()));
        }
        use(damaged, place.to_string() + " absent");
    }
}

} // namespace bitsmith::test
