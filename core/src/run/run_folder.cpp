// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/run_folder.h"

#include "base/json_io.h"
#include "base/text.h"
#include "run/block_file.h"
#include "run/journal.h"
#include "run/run_lock.h"
#include "run/run_record.h"
#include "tensor/safetensors_writer.h"

#include <bitsmith/check.h>
#include <bitsmith/spec_json.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <ctime>
#include <map>

namespace bitsmith {

namespace {

namespace stdfs = std::filesystem;

constexpr const char* kReference = "reference";
constexpr const char* kQuantized = "quantized";
constexpr const char* kSource = "source";
constexpr const char* kTokens = "tokens";
constexpr const char* kChannels = "channels";
constexpr const char* kSame = "same"; ///< metadata: both chains are one tensor

std::string list_text(const std::vector<std::string>& list)
{
    return Json(list).dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// "qwen3-0.6b-w4a16-20261121-110000"
std::string folder_name(const JobSpec& spec)
{
    const std::string path = lower(spec.model.path);
    std::string name = stdfs::path(path).filename().string() + "-" + lower(spec.scheme.scheme);
    for (char& c : name) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_';
        c = plain ? c : '-';
    }
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::localtime_r(&now, &parts);
    std::array<char, 32> stamp{};
    std::strftime(stamp.data(), stamp.size(), "%Y%m%d-%H%M%S", &parts);
    return name + "-" + stamp.data();
}

stdfs::path new_folder(const JobSpec& spec)
{
    const stdfs::path wish = default_runs_folder() / folder_name(spec);
    stdfs::path folder = wish;
    for (int i = 2; stdfs::exists(folder); ++i) {
        folder = wish.string() + concat('-', i);
    }
    return folder;
}

void refuse_differences(
    const stdfs::path& folder, const RunRecord& record, const JobSpec& spec, const ModelInfo& model)
{
    Error::Context context = {{"run", folder.string()}};
    for (const FieldDifference& difference : blocking_differences(record.spec, spec)) {
        context.emplace_back(
            difference.field, "run has '" + difference.run + "', asked '" + difference.wish + "'");
    }
    if (record.fingerprint != model.fingerprint) {
        context.emplace_back(
            "model", "content of " + model.path + " is not what the run began with");
    }
    if (context.size() > 1) {
        fail(ErrorCode::InvalidSpec, "the run cannot go on with other settings", std::move(context),
            "Set these as they were, or start a new run");
    }
}

} // namespace

struct RunFolder::Impl
{
    FileSystem* fs = nullptr; ///< null: opened for reading
    stdfs::path folder;
    RunRecord record;
    std::unique_ptr<RunLock> lock;
    std::unique_ptr<JournalWriter> journal;
    mutable std::map<int64_t, std::shared_ptr<const BlockFile>> checked; ///< those that are open
    mutable int64_t finished = 0;

    FileSystem& writable() const
    {
        BITSMITH_ASSERT(fs != nullptr);
        return *fs;
    }
    stdfs::path numbered(const char* kind, int64_t index) const
    {
        return folder / run_files::numbered(kind, index);
    }
    void begin_writing(FileSystem& files)
    {
        fs = &files;
        fs->create_folders(folder / run_files::kBlocks);
        fs->create_folders(folder / run_files::kInputs);
        journal = std::make_unique<JournalWriter>(*fs, folder / run_files::kJournal);
    }
    std::shared_ptr<const BlockFile> block(int64_t index) const;
    int64_t block_of(std::string_view layer) const;
    void keep(const std::vector<tune::KeptLayer>& layers);
    quant::NamedNorms touched_norms() const;
    void put_touched(std::string_view layer, quant::QuantizedWeight& weight) const;
    void publish_inputs(int64_t index, const tune::BlockResult& result) const;
    void remove_inputs_except(int64_t index) const;
};

/// Keeps blocks open, which costs a file handle each: their checksums are computed only once although
/// an export reads them for writing and for verifying.
std::shared_ptr<const BlockFile> RunFolder::Impl::block(int64_t index) const
{
    constexpr std::size_t kOpenBlocks = 256;
    const auto found = checked.find(index);
    if (found != checked.end()) {
        return found->second;
    }
    auto file = std::make_shared<const BlockFile>(numbered(run_files::kBlocks, index));
    if (checked.size() >= kOpenBlocks) {
        checked.erase(checked.begin());
    }
    checked[index] = file;
    return file;
}

/// File that holds `layer`: its block, or one after the last for layers outside the blocks.
int64_t RunFolder::Impl::block_of(std::string_view layer) const
{
    const PlannedLayer* planned = record.plan.find(layer);
    if (planned == nullptr || !planned->scheme.is_quantized()) {
        return -1;
    }
    return planned->block_index >= 0 ? planned->block_index : record.blocks;
}

/// Follows in the plan what tuning had to decide.
void RunFolder::Impl::keep(const std::vector<tune::KeptLayer>& layers)
{
    bool is_new = false;
    for (PlannedLayer& planned : record.plan.layers) {
        const auto kept = std::find_if(layers.begin(), layers.end(),
            [&planned](const tune::KeptLayer& layer) { return layer.name == planned.name; });
        if (kept != layers.end() && planned.scheme.is_quantized()) {
            planned.scheme = keep_scheme();
            planned.reason = kept->reason;
            planned.as_asked = false;
            is_new = true;
        }
    }
    if (is_new) {
        publish_run_record(writable(), folder, record);
    }
}

void RunFolder::Impl::publish_inputs(int64_t index, const tune::BlockResult& result) const
{
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    if (result.reference_outputs.defined()) {
        tensors.emplace_back(kReference, result.reference_outputs);
    }
    const bool same = result.quantized_outputs.is_same(result.reference_outputs);
    if (result.quantized_outputs.defined() && !same) {
        tensors.emplace_back(kQuantized, result.quantized_outputs);
    }
    if (!tensors.empty()) {
        tensor::publish_safetensors(writable(), numbered(run_files::kInputs, index), tensors,
            {{kSame, same ? "true" : "false"}});
    }
}

void RunFolder::Impl::remove_inputs_except(int64_t index) const
{
    const std::string kept = numbered(run_files::kInputs, index).filename().string();
    std::vector<stdfs::path> old;
    for (const auto& entry : stdfs::directory_iterator(folder / run_files::kInputs)) {
        if (entry.path().filename() != kept) {
            old.push_back(entry.path());
        }
    }
    for (const stdfs::path& path : old) {
        writable().remove_all(path);
    }
}

RunFolder::RunFolder()
    : impl_(std::make_unique<Impl>())
{ }

RunFolder::~RunFolder() = default;

std::unique_ptr<RunFolder> RunFolder::create(FileSystem& fs, const stdfs::path& folder,
    const JobSpec& spec, const ModelInfo& model, const Plan& plan)
{
    std::unique_ptr<RunFolder> run(new RunFolder);
    Impl& impl = *run->impl_;
    impl.folder = folder.empty() ? new_folder(spec) : stdfs::absolute(folder);
    fs.create_folders(impl.folder);
    impl.lock = std::make_unique<RunLock>(impl.folder);
    if (stdfs::exists(impl.folder / run_files::kRun)) {
        fail(ErrorCode::InvalidSpec, "the folder already holds a run",
            {{"run", impl.folder.string()}}, "Continue it with --resume, or choose another folder");
    }
    impl.record = make_run_record(spec, model, plan);
    impl.begin_writing(fs);
    publish_run_record(fs, impl.folder, impl.record);
    return run;
}

std::unique_ptr<RunFolder> RunFolder::resume(
    FileSystem& fs, const stdfs::path& folder, const JobSpec& spec, const ModelInfo& model)
{
    if (folder.empty() || !stdfs::is_directory(folder)) {
        fail(ErrorCode::FileNotFound, "there is no run to resume", {{"run", folder.string()}},
            "Name its folder with --run-dir; 'runs list' shows them");
    }
    if (!stdfs::exists(folder / run_files::kRun)) {
        return create(fs, folder, spec, model, build_plan(spec, model));
    }
    std::unique_ptr<RunFolder> run(new RunFolder);
    Impl& impl = *run->impl_;
    impl.folder = stdfs::absolute(folder);
    impl.lock = std::make_unique<RunLock>(impl.folder);
    impl.record = read_run_record(impl.folder);
    refuse_differences(impl.folder, impl.record, spec, model);
    impl.begin_writing(fs);
    if (!(impl.record.spec == spec)) {
        impl.record.spec = spec;
        publish_run_record(fs, impl.folder, impl.record);
    }
    if (const int64_t finished = run->finished_blocks(); finished > 0) {
        impl.keep(impl.block(finished - 1)->kept());
    }
    return run;
}

std::unique_ptr<RunFolder> RunFolder::open(const stdfs::path& folder)
{
    std::unique_ptr<RunFolder> run(new RunFolder);
    run->impl_->folder = stdfs::absolute(folder);
    run->impl_->record = read_run_record(run->impl_->folder);
    return run;
}

const stdfs::path& RunFolder::folder() const
{
    return impl_->folder;
}

const JobSpec& RunFolder::spec() const
{
    return impl_->record.spec;
}

const Plan& RunFolder::plan() const
{
    return impl_->record.plan;
}

void RunFolder::append(const Event& event)
{
    BITSMITH_ASSERT(impl_->journal != nullptr);
    impl_->journal->append(event);
}

void RunFolder::flush()
{
    BITSMITH_ASSERT(impl_->journal != nullptr);
    impl_->journal->flush();
}

int64_t RunFolder::finished_blocks() const
{
    while (stdfs::exists(impl_->numbered(run_files::kBlocks, impl_->finished))) {
        try {
            impl_->block(impl_->finished);
        } catch (const Error& error) {
            if (error.code() != ErrorCode::FileCorrupt) {
                throw;
            }
            break; // computed again; publishing replaces the damaged file
        }
        ++impl_->finished;
    }
    return impl_->finished;
}

void RunFolder::publish_block(int64_t index, const tune::BlockResult& result, bool keep_inputs)
{
    if (keep_inputs) {
        impl_->publish_inputs(index + 1, result);
    }
    impl_->checked.erase(index);
    publish_block_file(impl_->writable(), impl_->numbered(run_files::kBlocks, index), result);
    impl_->keep(result.kept);
    impl_->remove_inputs_except(keep_inputs ? index + 1 : -1);
    flush();
}

BlockFinished RunFolder::block_summary(int64_t index) const
{
    return impl_->block(index)->summary();
}

std::vector<LayerFinished> RunFolder::block_errors(int64_t index) const
{
    return impl_->block(index)->errors();
}

std::optional<tune::BlockInputs> RunFolder::load_inputs(int64_t index) const
{
    const stdfs::path file = impl_->numbered(run_files::kInputs, index);
    if (!stdfs::exists(file)) {
        return std::nullopt;
    }
    const tensor::SafetensorsReader reader(map_file(file));
    tune::BlockInputs inputs;
    inputs.reference = reader.load(kReference);
    const auto same = reader.metadata().find(kSame);
    const bool shared = same != reader.metadata().end() && same->second == "true";
    if (shared) {
        inputs.quantized = inputs.reference;
    } else if (reader.find(kQuantized) != nullptr) {
        inputs.quantized = reader.load(kQuantized);
    }
    return inputs;
}

void RunFolder::publish_calibration(const calib::CalibrationSet& calibration)
{
    std::vector<std::pair<std::string, at::Tensor>> tensors = {
        {"ids", calibration.ids}, {"mask", calibration.mask}};
    if (calibration.source.defined()) {
        tensors.emplace_back(kSource, calibration.source);
    }
    tensor::publish_safetensors(impl_->writable(), impl_->folder / run_files::kCalibration, tensors,
        {{"holdout", std::to_string(calibration.holdout)},
            {"asked", std::to_string(calibration.asked)}, {"origin", calibration.origin},
            {"warnings", list_text(calibration.warnings)},
            {"sources", list_text(calibration.sources)}});
}

std::optional<calib::CalibrationSet> RunFolder::load_calibration() const
{
    const stdfs::path file = impl_->folder / run_files::kCalibration;
    if (!stdfs::exists(file)) {
        return std::nullopt;
    }
    const tensor::SafetensorsReader reader(map_file(file));
    const auto text = [&](const char* key) {
        const auto found = reader.metadata().find(key);
        if (found == reader.metadata().end()) {
            fail(ErrorCode::FileCorrupt, "the calibration of the run is incomplete",
                {{"file", file.string()}, {"metadata missing", key}});
        }
        return found->second;
    };
    calib::CalibrationSet calibration;
    calibration.ids = reader.load("ids");
    calibration.mask = reader.load("mask");
    if (reader.find(kSource) != nullptr) {
        calibration.source = reader.load(kSource);
    }
    try {
        calibration.holdout = std::stoll(text("holdout"));
        calibration.asked = std::stoll(text("asked"));
        calibration.warnings =
            parse_json(text("warnings"), file.string()).get<std::vector<std::string>>();
        if (calibration.source.defined()) {
            calibration.sources =
                parse_json(text("sources"), file.string()).get<std::vector<std::string>>();
        }
    } catch (const std::logic_error&) { // stoll
        fail(ErrorCode::FileCorrupt, "the calibration of the run is damaged",
            {{"file", file.string()}});
    } catch (const Json::exception& error) {
        fail(ErrorCode::FileCorrupt, "the calibration of the run is damaged",
            {{"file", file.string()}, {"reason", error.what()}});
    }
    calibration.origin = text("origin");
    return calibration;
}

void RunFolder::publish_fisher_weights(const tune::FisherWeights& weights)
{
    tensor::publish_safetensors(impl_->writable(), impl_->folder / run_files::kFisher,
        {{kTokens, weights.tokens}, {kChannels, weights.channels}}, {});
}

std::optional<tune::FisherWeights> RunFolder::load_fisher_weights() const
{
    const stdfs::path file = impl_->folder / run_files::kFisher;
    if (!stdfs::exists(file)) {
        return std::nullopt;
    }
    const tensor::SafetensorsReader reader(map_file(file));
    return tune::FisherWeights{reader.load(kTokens), reader.load(kChannels)};
}

bool RunFolder::is_touched_up() const
{
    return stdfs::exists(impl_->folder / run_files::kTouchedUp);
}

void RunFolder::publish_touched_up(const std::map<std::string, at::Tensor>& tensors)
{
    tensor::publish_safetensors(impl_->writable(), impl_->folder / run_files::kTouchedUp,
        {tensors.begin(), tensors.end()}, {});
    flush();
}

quant::NamedNorms RunFolder::Impl::touched_norms() const
{
    quant::NamedNorms norms;
    if (!stdfs::exists(folder / run_files::kTouchedUp)) {
        return norms;
    }
    const tensor::SafetensorsReader touched(map_file(folder / run_files::kTouchedUp));
    for (const tensor::TensorEntry& entry : touched.entries()) {
        if (entry.name.ends_with(".weight")) {
            norms.emplace(entry.name, touched.load(entry.name));
        }
    }
    return norms;
}

/// Puts what the touch-up changed of a layer in place of what its block holds.
void RunFolder::Impl::put_touched(std::string_view layer, quant::QuantizedWeight& weight) const
{
    const stdfs::path file = folder / run_files::kTouchedUp;
    if (!stdfs::exists(file)) {
        return;
    }
    const tensor::SafetensorsReader touched(map_file(file));
    for (const quant::TunablePart& part :
        quant::codec_for(weight.scheme).tunable_parts(weight.scheme)) {
        const std::string name = concat(layer, '.', part.part.name);
        const at::Tensor found = touched.find(name) ? touched.load(name) : at::Tensor();
        at::Tensor& tuned = weight.*part.part.tensor;
        if (!found.defined() || found.sizes() != tuned.sizes()
            || found.scalar_type() != tuned.scalar_type()) {
            fail(ErrorCode::FileCorrupt, "the touched-up scales do not fit the layer",
                {{"file", file.string()}, {"tensor", name}},
                "Remove the file and resume; the scales are touched up again");
        }
        tuned = found;
    }
}

quant::NamedNorms RunFolder::changed_norms() const
{
    quant::NamedNorms changed = impl_->touched_norms();
    if (impl_->record.spec.recipe.smoothing == Smoothing::Off) {
        return changed; // without a look into every block
    }
    for (int64_t i = 0; i < impl_->record.blocks; ++i) {
        if (stdfs::exists(impl_->numbered(run_files::kBlocks, i))) {
            changed.merge(impl_->block(i)->norms());
        }
    }
    return changed;
}

tune::WeightFactors RunFolder::factors(std::string_view layer) const
{
    const int64_t index = impl_->block_of(layer);
    return index < 0 ? tune::WeightFactors() : impl_->block(index)->factors(layer);
}

void RunFolder::publish_report(const Report& report)
{
    publish_file(impl_->writable(), impl_->folder / run_files::kReport, to_json(report));
}

bool RunFolder::contains(std::string_view layer) const
{
    const int64_t index = impl_->block_of(layer);
    return index >= 0 && stdfs::exists(impl_->numbered(run_files::kBlocks, index))
        && impl_->block(index)->contains(layer);
}

quant::QuantizedWeight RunFolder::load(std::string_view layer) const
{
    const int64_t index = impl_->block_of(layer);
    if (index < 0) {
        fail(ErrorCode::MissingTensor, "the run does not quantize this layer",
            {{"run", impl_->folder.string()}, {"layer", std::string(layer)}});
    }
    quant::QuantizedWeight weight = impl_->block(index)->load(layer);
    if (index < impl_->record.blocks) { // the output head is not touched up
        impl_->put_touched(layer, weight);
    }
    return weight;
}

quant::CacheMaxima RunFolder::cache(int64_t block) const
{
    return impl_->block(block)->cache();
}

quant::NamedNorms RunFolder::norms(int64_t block) const
{
    quant::NamedNorms norms = impl_->block(block)->norms();
    if (!norms.empty()) {
        const quant::NamedNorms touched = impl_->touched_norms();
        for (auto& [name, weight] : norms) {
            const auto found = touched.find(name);
            weight = found == touched.end() ? weight : found->second;
        }
    }
    return norms;
}

} // namespace bitsmith
