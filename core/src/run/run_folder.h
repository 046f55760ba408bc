// SPDX-License-Identifier: GPL-3.0-or-later
// The run document: a folder that survives a kill at any instant.
//
// - run.json: schema_version, spec, model fingerprint, versions, created_ms, plan (run_record.h)
// - journal: append only, one checksummed event per line (journal.h); exports that are made later
//   are events after the last one of the job
// - blocks/NNNN.safetensors: finished layers of block N, published by rename (block_file.h)
// - inputs/NNNN.safetensors: inputs of block N (reference, quantized); only the newest is kept
// - calibration.safetensors: ids, mask, source of each row; number of held-out rows, origin, names of
//   the sources and warnings as metadata
// - fisher.safetensors: tokens and channels of tune::FisherWeights, where the recipe wants them
// - touched-up.safetensors: what the end-to-end touch-up changed: LAYER.PART -> parts of a layer
//   (quant::TunablePart, as "scales") that take the place of the block's, NORM.weight -> weights
//   that take the place of the model's
// - report.json: when the job has ended; exports that are made later are added
// - lock: flock'ed by the process that runs the job, with its pid
#pragma once

#include "base/file_ops.h"
#include "calib/calibration_set.h"
#include "quant/codec.h"
#include "tune/block_tuner.h"
#include "tune/position_weights.h"

#include <bitsmith/model_info.h>
#include <bitsmith/run_reader.h>

#include <map>

namespace bitsmith {

class RunFolder : public quant::QuantizedStore
{
public:
    /// A new run; throws InvalidSpec when the folder already holds one, or when another process
    /// works in it. An empty `folder` means a new one under default_runs_folder().
    static std::unique_ptr<RunFolder> create(FileSystem& fs, const std::filesystem::path& folder,
        const JobSpec& spec, const ModelInfo& model, const Plan& plan);
    /// Opens for resuming. Throws InvalidSpec naming every field that differs between `spec` and
    /// the run, and when the model's fingerprint changed; fields that cannot affect finished blocks
    /// may differ (run_record.h) and are recorded. A folder whose run.json a kill prevented becomes
    /// a new run; throws FileNotFound when there is no such folder.
    static std::unique_ptr<RunFolder> resume(FileSystem& fs, const std::filesystem::path& folder,
        const JobSpec& spec, const ModelInfo& model);
    /// Opens for reading (export of a finished run); no lock is taken, nothing can be written.
    static std::unique_ptr<RunFolder> open(const std::filesystem::path& folder);
    ~RunFolder() override;

    const std::filesystem::path& folder() const;
    const JobSpec& spec() const;
    const Plan& plan() const;

    /// Appends to the journal; flushed to the device at block ends and at least every second.
    void append(const Event& event);
    void flush();

    /// Number of leading blocks that are published and whose bytes check; layers outside the blocks
    /// are published as one more block.
    int64_t finished_blocks() const;
    /// Publishes the inputs of the next block, then this block, then removes older inputs: in this
    /// order a kill in between leaves the inputs of the first unfinished block on disk. Layers that
    /// the block keeps are kept in the plan from then on; a kill before that is made up for on resume.
    void publish_block(int64_t index, const tune::BlockResult& result, bool keep_inputs);
    BlockFinished block_summary(int64_t index) const;
    std::vector<LayerFinished> block_errors(int64_t index) const;
    /// Inputs of block `index` (mask and holdout are not filled in); empty when they were not kept.
    std::optional<tune::BlockInputs> load_inputs(int64_t index) const;
    void publish_calibration(const calib::CalibrationSet& calibration);
    /// Empty when it is not published yet. Throws FileCorrupt.
    std::optional<calib::CalibrationSet> load_calibration() const;
    void publish_fisher_weights(const tune::FisherWeights& weights);
    /// Empty when they are not published yet. Throws FileCorrupt.
    std::optional<tune::FisherWeights> load_fisher_weights() const;
    bool is_touched_up() const;
    /// All tensors of the file. From then on load() gives the codes with these.
    void publish_touched_up(const std::map<std::string, at::Tensor>& tensors);
    /// All norms that take the place of the model's: touched up, else smoothed.
    quant::NamedNorms changed_norms() const;
    /// What smoothing multiplied the weight of a quantized layer by.
    tune::WeightFactors factors(std::string_view layer) const;
    void publish_report(const Report& report);

    bool contains(std::string_view layer) const override;
    quant::QuantizedWeight load(std::string_view layer) const override;
    quant::CacheMaxima cache(int64_t block) const override;
    quant::NamedNorms norms(int64_t block) const override;

private:
    RunFolder();
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace bitsmith
