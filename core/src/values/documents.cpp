// SPDX-License-Identifier: GPL-3.0-or-later
#include "values/fields_json.h"

#include <bitsmith/documents.h>

namespace bitsmith {

#define BITSMITH_DOCUMENT_FIELDS(Type)                                                             \
    template <class Visitor, class Self>                                                           \
    requires std::same_as<std::remove_const_t<Self>, Type>                                         \
    void visit_fields(Visitor& v, Self& s)

BITSMITH_DOCUMENT_FIELDS(Estimate)
{
    v("peak_host_bytes", s.peak_host_bytes, any_value(), "");
    v("peak_device_bytes", s.peak_device_bytes, any_value(), "");
    v("run_folder_bytes", s.run_folder_bytes, any_value(), "");
    v("export_bytes", s.export_bytes, any_value(), "");
}

BITSMITH_DOCUMENT_FIELDS(SchemeInfo)
{
    v("name", s.name, any_value(), "");
    v("group", s.group, any_value(), "");
    v("title", s.title, any_value(), "");
    v("scheme", s.scheme, any_value(), "");
}

BITSMITH_DOCUMENT_FIELDS(FormatInfo)
{
    v("id", s.id, any_value(), "");
    v("title", s.title, any_value(), "");
    v("accepts", s.accepts, any_value(), "");
    v("layout", s.layout, any_value(), "");
    v("runtimes", s.runtimes, any_value(), "");
    v("serve", s.serve, any_value(), "");
    v("schemes", s.schemes, any_value(), "");
}

BITSMITH_DOCUMENT_FIELDS(FamilyInfo)
{
    v("id", s.id, any_value(), "");
    v("title", s.title, any_value(), "");
    v("model_types", s.model_types, any_value(), "");
}

BITSMITH_DOCUMENT_FIELDS(RecipeInfo)
{
    v("recipe", s.recipe, any_value(), "");
    v("title", s.title, any_value(), "");
}

BITSMITH_DOCUMENT_FIELDS(NamedItem)
{
    v("id", s.id, any_value(), "");
    v("title", s.title, any_value(), "");
}

BITSMITH_DOCUMENT_FIELDS(RunSummary)
{
    v("name", s.name, any_value(), "");
    v("model", s.model, any_value(), "");
    v("scheme", s.scheme, any_value(), "");
    v("recipe", s.recipe, any_value(), "");
    v("state", s.state, any_value(), "");
    v("created_ms", s.created_ms, any_value(), "");
    v("blocks_done", s.blocks_done, any_value(), "");
    v("blocks", s.blocks, any_value(), "");
    v("bytes", s.bytes, any_value(), "");
}

#undef BITSMITH_DOCUMENT_FIELDS

namespace {

std::string dump(const Json& json)
{
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json issues_json(const std::vector<Issue>& issues)
{
    Json list = Json::array();
    for (const Issue& issue : issues) {
        list.push_back({{"severity", std::string(to_string(issue.severity))}, {"id", issue.id},
            {"field", issue.field}, {"message", issue.message}, {"fix_value", issue.fix_value}});
    }
    return list;
}

Json run_json(const RunSummary& run)
{
    Json json = Json::object();
    json["folder"] = run.folder.string();
    write_fields(json, run);
    return json;
}

template <class T>
std::string list_document(std::string_view key, const std::vector<T>& items)
{
    Json json = Json::object();
    json[std::string(key)] = value_to_json(items);
    return dump(json);
}

} // namespace

std::string error_document(const Error& error)
{
    Json context = Json::object();
    for (const auto& [key, value] : error.context()) {
        context[key] = value;
    }
    return dump({{"error",
        {{"code", std::string(to_string(error.code()))}, {"message", error.message()},
            {"context", context}, {"hint", error.hint()}}}});
}

std::string error_document(std::string_view code, std::string_view message)
{
    return dump({{"error", {{"code", std::string(code)}, {"message", std::string(message)}}}});
}

std::string refusal_document(const std::vector<Issue>& issues)
{
    return dump({{"error",
        {{"code", "refused"}, {"message", "the job breaks a rule"},
            {"issues", issues_json(issues)}}}});
}

std::string plan_document(
    const Plan& plan, const Estimate& estimate, const std::vector<Issue>& issues)
{
    Json json = Json::object();
    json["issues"] = issues_json(issues);
    json["average_bits"] = estimate.average_bits;
    json["estimate"] = fields_to_json(estimate);
    Json layers = Json::array();
    for (const PlannedLayer& layer : plan.layers) {
        layers.push_back({{"name", layer.name}, {"shape", {layer.rows, layer.columns}},
            {"scheme", layer.scheme.is_quantized() ? scheme_name(layer.scheme) : "keep"},
            {"bits", effective_bits(layer.scheme, layer.columns)}, {"reason", layer.reason}});
    }
    json["plan"] = std::move(layers);
    return dump(json);
}

std::string runs_document(const std::vector<RunSummary>& runs)
{
    Json list = Json::array();
    for (const RunSummary& run : runs) {
        list.push_back(run_json(run));
    }
    Json json = Json::object();
    json["runs"] = std::move(list);
    return dump(json);
}

std::string run_document(
    const RunSummary& run, const JobSpec& spec, const std::optional<Report>& report)
{
    Json json = run_json(run);
    json["spec"] = fields_to_json(spec);
    json["report"] = report ? fields_to_json(*report) : Json(nullptr);
    return dump(json);
}

std::string document(const ExportReport& report)
{
    return dump(fields_to_json(report));
}

std::string findings_document(const std::vector<std::string>& findings)
{
    Json json = Json::object();
    json["ok"] = findings.empty();
    json["findings"] = value_to_json(findings);
    return dump(json);
}

std::string text_document(std::string_view text)
{
    Json json = Json::object();
    json["text"] = std::string(text);
    return dump(json);
}

std::string document(const std::vector<SchemeInfo>& items)
{
    return list_document("schemes", items);
}

std::string document(const std::vector<RecipeInfo>& items)
{
    return list_document("recipes", items);
}

std::string document(const std::vector<FormatInfo>& items)
{
    return list_document("formats", items);
}

std::string document(const std::vector<FamilyInfo>& items)
{
    return list_document("families", items);
}

std::string document(const std::vector<DeviceInfo>& items)
{
    return list_document("devices", items);
}

std::string document(std::string_view key, const std::vector<NamedItem>& items)
{
    return list_document(key, items);
}

} // namespace bitsmith
