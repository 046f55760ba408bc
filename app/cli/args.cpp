// SPDX-License-Identifier: GPL-3.0-or-later
#include "args.h"

#include "flag_table.h"

#include <bitsmith/check.h>
#include <bitsmith/error.h>
#include <bitsmith/run_reader.h>
#include <bitsmith/spec_json.h>

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <map>
#include <sstream>

namespace bitsmith::cli {

namespace {

std::vector<std::string> split_names(std::string_view names)
{
    std::vector<std::string> parts;
    while (!names.empty()) {
        const std::size_t end = std::min(names.find(','), names.size());
        parts.emplace_back(names.substr(0, end));
        names.remove_prefix(std::min(end + 1, names.size()));
    }
    return parts;
}

std::string flags_of(const std::vector<std::string>& keys, const std::string& prefix = {})
{
    std::string flags;
    for (const std::string& key : keys) {
        flags += (flags.empty() ? "" : ",") + both_spellings(prefix + key);
    }
    return flags;
}

std::string range_text(const Range& range)
{
    std::ostringstream out;
    out << std::setprecision(16); // large whole numbers without an exponent
    if (std::isfinite(range.min) && std::isfinite(range.max)) {
        out << range.min << " to " << range.max;
        out << (range.unit.empty() ? "" : " ") << range.unit;
    }
    return out.str();
}

template <class T>
struct ValueType
{
    using type = T;
};
template <class T>
struct ValueType<std::optional<T>>
{
    using type = T;
};

template <class T>
std::string type_name(const Range& range)
{
    using Value = typename ValueType<T>::type;
    if constexpr (NamedEnum<Value>) {
        std::string choices;
        for (const std::string_view name : EnumNames<Value>::names) {
            choices += (choices.empty() ? "" : "|") + std::string(name);
        }
        return choices;
    } else if constexpr (std::is_same_v<Value, int64_t> || std::is_same_v<Value, double>) {
        const std::string limits = range_text(range);
        const std::string kind = std::is_same_v<Value, int64_t> ? "N" : "X";
        return limits.empty() ? kind : kind + " (" + limits + ")";
    } else if constexpr (std::is_same_v<Value, std::vector<std::string>>) {
        return "A,B,...";
    } else {
        return "TEXT";
    }
}

/// Visitor that adds one flag per field.
class FlagMaker
{
public:
    /// `defaults`: what the help says about fields without a flag; null: nothing.
    FlagMaker(CLI::App& app, SpecFlags& flags, std::string section, const JobSpec* defaults)
        : app_(app)
        , flags_(flags)
        , section_(std::move(section))
    {
        if (defaults != nullptr) {
            for (auto& [path, text] : list_fields_of(*defaults)) {
                defaults_.emplace(path, text);
            }
        }
    }

    template <class T>
    void operator()(std::string_view key, T&, Range range, std::string_view help)
    {
        const std::string path = section_ + "." + std::string(key);
        const FlagName* named = flag_name(path);
        const std::vector<std::string> keys = split_names(named != nullptr ? named->names : key);
        if (keys.empty()) {
            return;
        }
        const std::string text = described(std::string(help), path);
        if constexpr (std::is_same_v<typename ValueType<T>::type, bool>) {
            add_switch(keys, named != nullptr ? split_names(named->off_names) : keys, path, text,
                named != nullptr && !named->off_names.empty());
        } else {
            app_.add_option_function<std::string>(flags_of(keys), recorder(path), text)
                ->type_name(type_name<T>(range))
                ->trigger_on_parse()
                ->group(section_);
        }
    }

private:
    std::string described(std::string help, const std::string& path) const
    {
        const auto value = defaults_.find(path);
        const bool is_known = value != defaults_.end() && !value->second.empty();
        return is_known ? help + " [" + value->second + "]" : help;
    }
    std::function<void(const std::string&)> recorder(const std::string& path)
    {
        return [this_flags = &flags_, path](
                   const std::string& value) { this_flags->fields.emplace_back(path, value); };
    }
    void add_switch(const std::vector<std::string>& on, const std::vector<std::string>& off,
        const std::string& path, const std::string& help, bool has_own_off)
    {
        const auto record = recorder(path);
        app_.add_flag_function(
                flags_of(on), [record](int64_t) { record("true"); }, help)
            ->trigger_on_parse()
            ->group(section_);
        std::string names = flags_of(on, "no_");
        if (has_own_off) {
            names += "," + flags_of(off);
        }
        app_.add_flag_function(
                names, [record](int64_t) { record("false"); }, "the opposite of --" + on.front())
            ->trigger_on_parse()
            ->group(section_);
    }

    CLI::App& app_;
    SpecFlags& flags_;
    std::string section_;
    std::map<std::string, std::string> defaults_;
};

/// Visitor over the sections of a job.
class SectionVisitor
{
public:
    SectionVisitor(CLI::App& app, SpecFlags& flags)
        : app_(app)
        , flags_(flags)
    { }
    template <class T>
    void operator()(std::string_view name, T& section, Range, std::string_view)
    {
        const JobSpec defaults;
        FlagMaker maker(app_, flags_, std::string(name), &defaults);
        visit_fields(maker, section);
    }

private:
    CLI::App& app_;
    SpecFlags& flags_;
};

void add_whole_spec_flags(CLI::App& command, SpecFlags& flags)
{
    const char* group = "job";
    command
        .add_option(both_spellings("override"), flags.overrides,
            "rule PATTERN=SCHEME for the layers whose name matches; later rules win; repeatable")
        ->type_name("PATTERN=SCHEME")
        ->allow_extra_args(false)
        ->group(group);
    add_option(command, "layer_config", flags.layer_config,
        "JSON file of layer or pattern -> scheme, as auto-round reads it")
        ->type_name("FILE")
        ->group(group);
    add_option(command, "spec", flags.spec_file, "job file; flags change single values of it")
        ->type_name("FILE")
        ->group(group);
    command.add_option(both_spellings("set"), flags.sets, "any field of the job file; repeatable")
        ->type_name("section.key=value")
        ->allow_extra_args(false)
        ->group(group);
    command
        .add_option("--algorithm", flags.algorithm,
            "how layers are quantized, see 'list algorithms'; otherwise the recipe's")
        ->type_name("NAME")
        ->group(group);
    command
        .add_flag(both_spellings("reference_mode"), flags.reference_mode,
            "every choice as auto-round makes it, for comparisons")
        ->group(group);
    command
        .add_flag(both_spellings("enable_alg_ext") + "," + both_spellings("alg_ext"), flags.alg_ext,
            "auto-round's algorithm extension: searched ranges, a loss without outliers")
        ->group(group);
    command
        .add_flag("--resume", flags.resume,
            "go on with the run in --run-dir; its settings are taken where no flag is given")
        ->group(group);
}

std::pair<std::string, std::string> at_equals(const std::string& text, const char* flag)
{
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos) {
        fail(ErrorCode::InvalidSpec, "a value is missing",
            {{"flag", flag}, {"found", text}, {"allowed", "NAME=VALUE"}});
    }
    return {text.substr(0, equals), text.substr(equals + 1)};
}

const std::string* last_value(const SpecFlags& flags, std::string_view path)
{
    const auto found = std::find_if(flags.fields.rbegin(), flags.fields.rend(),
        [path](const auto& entry) { return entry.first == path; });
    return found == flags.fields.rend() ? nullptr : &found->second;
}

JobSpec starting_spec(const SpecFlags& flags, const std::optional<JobSpec>& base)
{
    JobSpec spec = base.value_or(JobSpec{});
    if (flags.resume && flags.spec_file.empty()) {
        const std::string* folder = last_value(flags, "runtime.run_dir");
        if (folder != nullptr
            && std::filesystem::exists(std::filesystem::path(*folder) / "run.json")) {
            spec = read_run_spec(*folder);
        }
    }
    if (const std::string* recipe = last_value(flags, "recipe.name")) {
        spec.recipe = named_recipe(*recipe);
    }
    return flags.spec_file.empty() ? spec : read_job_spec(flags.spec_file, spec);
}

JobSpec combined(const SpecFlags& flags, const std::optional<JobSpec>& base)
{
    JobSpec spec = starting_spec(flags, base);
    if (!flags.algorithm.empty()) {
        apply_algorithm(spec.recipe, flags.algorithm);
    }
    if (flags.reference_mode) {
        apply_reference_mode(spec);
    }
    if (flags.alg_ext) {
        JobSpec whole = spec; // flags of the scheme are applied below
        for (const auto& [path, value] : flags.fields) {
            if (path.rfind("scheme.", 0) == 0) {
                set_field(whole, path, value);
            }
        }
        apply_algorithm_extension(spec.recipe, resolve_scheme(whole.scheme));
    }
    if (!flags.model.empty()) {
        spec.model.path = flags.model;
    }
    for (const auto& [path, value] : flags.fields) {
        if (path != "recipe.name") {
            set_field(spec, path, value);
        }
    }
    for (const std::string& text : flags.sets) {
        const auto [path, value] = at_equals(text, "--set");
        set_field(spec, path, value);
    }
    if (!flags.layer_config.empty()) {
        for (Override& rule : read_layer_config(flags.layer_config, spec.scheme)) {
            spec.scheme.overrides.push_back(std::move(rule));
        }
    }
    for (const std::string& text : flags.overrides) {
        const auto [pattern, scheme] = at_equals(text, "--override");
        parse_scheme(scheme); // a typo is a usage error, not a rule broken later
        spec.scheme.overrides.push_back({pattern, scheme});
    }
    parse_scheme(spec.scheme.scheme);
    return spec;
}

} // namespace

std::string both_spellings(const std::string& key)
{
    std::string dashes = key, underscores = key;
    std::replace(dashes.begin(), dashes.end(), '_', '-');
    std::replace(underscores.begin(), underscores.end(), '-', '_');
    return dashes == underscores ? "--" + dashes : "--" + dashes + ",--" + underscores;
}

std::shared_ptr<SpecFlags> add_spec_flags(CLI::App& command)
{
    auto flags = std::make_shared<SpecFlags>();
    command.add_option("MODEL", flags->model, "Hugging Face folder, .gguf file, or Hub id");
    add_whole_spec_flags(command, *flags);
    JobSpec defaults;
    SectionVisitor sections(command, *flags);
    visit_fields(sections, defaults);
    return flags;
}

std::shared_ptr<SpecFlags> add_detail_flags(CLI::App& command)
{
    auto flags = std::make_shared<SpecFlags>();
    ExportDetails details;
    FlagMaker maker(command, *flags, "exports", nullptr);
    visit_fields(maker, details);
    return flags;
}

JobSpec build_spec(const SpecFlags& flags, const std::optional<JobSpec>& base)
{
    try {
        return combined(flags, base);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::InvalidSpec) {
            throw UsageError(error);
        }
        throw;
    }
}

} // namespace bitsmith::cli
