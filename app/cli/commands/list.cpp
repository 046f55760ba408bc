// SPDX-License-Identifier: GPL-3.0-or-later
// list: what the program knows, from the catalogues.
#include "commands.h"
#include "text_format.h"
#include "watch.h"

#include <bitsmith/documents.h>

#include <array>

namespace bitsmith::cli {

namespace {

using Rows = std::vector<std::vector<std::string>>;

struct Listing
{
    std::string json;
    Rows rows;
};

Listing schemes()
{
    Listing listing{document(scheme_catalog()), {{"scheme", "kind", "bits", "meaning"}}};
    for (const SchemeInfo& item : scheme_catalog()) {
        // Bits with scales for a width that every group size here divides.
        listing.rows.push_back(
            {item.name, item.group, fixed_text(effective_bits(item.scheme, 4096), 3), item.title});
    }
    return listing;
}

Listing formats()
{
    Listing listing{document(format_catalog()), {{"format", "title", "schemes", "files"}}};
    for (const FormatInfo& item : format_catalog()) {
        listing.rows.push_back({item.id, item.title, item.accepts, item.layout});
    }
    return listing;
}

Listing recipes()
{
    Listing listing{document(recipe_catalog()),
        {{"recipe", "steps", "samples", "tokens", "batch", "learning rate", "meaning"}}};
    for (const RecipeInfo& item : recipe_catalog()) {
        const Recipe& r = item.recipe;
        listing.rows.push_back(
            {r.name, std::to_string(r.iters), std::to_string(r.nsamples), std::to_string(r.seqlen),
                std::to_string(r.batch_size), r.lr ? number_text(*r.lr) : "auto", item.title});
    }
    return listing;
}

Listing families()
{
    Listing listing{document(family_catalog()), {{"family", "title", "model types"}}};
    for (const FamilyInfo& item : family_catalog()) {
        std::string types;
        for (const std::string& type : item.model_types) {
            types += (types.empty() ? "" : ", ") + type;
        }
        listing.rows.push_back({item.id, item.title, types});
    }
    return listing;
}

Listing named(const char* key, const std::vector<NamedItem>& items)
{
    Listing listing{document(key, items), {}};
    for (const NamedItem& item : items) {
        listing.rows.push_back({item.id, item.title});
    }
    return listing;
}

Listing tasks()
{
    return named("tasks", metric_catalog());
}

Listing algorithms()
{
    return named("algorithms", algorithm_catalog());
}

Listing datasets()
{
    return named("datasets", dataset_catalog());
}

Listing devices()
{
    const std::vector<DeviceInfo> found = list_devices();
    Listing listing{document(found), {{"device", "name", "memory", "free", "note"}}};
    for (const DeviceInfo& item : found) {
        listing.rows.push_back({item.id, item.name, bytes_text(item.total_bytes),
            bytes_text(item.free_bytes), item.note});
    }
    return listing;
}

struct Topic
{
    const char* name;
    Listing (*make)();
    bool heading;
};
constexpr std::array kTopics = {Topic{"schemes", schemes, true}, Topic{"formats", formats, true},
    Topic{"recipes", recipes, true}, Topic{"algorithms", algorithms, false},
    Topic{"families", families, true}, Topic{"tasks", tasks, false},
    Topic{"datasets", datasets, false}, Topic{"devices", devices, true}};

} // namespace

Action add_list(CLI::App& app)
{
    struct Options
    {
        std::string topic;
        bool json = false;
    };
    auto options = std::make_shared<Options>();
    std::vector<std::string> names;
    for (const Topic& topic : kTopics) {
        names.emplace_back(topic.name);
    }
    app.add_option("TOPIC", options->topic, "what to list; without it all topics, as text")
        ->check(CLI::IsMember(names));
    add_json_option(app, options->json);
    app.callback([options] {
        if (options->json && options->topic.empty()) {
            throw CLI::RequiredError("TOPIC");
        }
    });
    return [options](Console& console) {
        const bool all = options->topic.empty();
        for (const Topic& topic : kTopics) {
            if (!all && options->topic != topic.name) {
                continue;
            }
            const Listing listing = topic.make();
            if (options->json) {
                console.out << listing.json;
                continue;
            }
            if (all) {
                console.out << "\n== " << topic.name << '\n';
            }
            print_columns(console.out, listing.rows, topic.heading);
        }
        return kExitDone;
    };
}

} // namespace bitsmith::cli
