// SPDX-License-Identifier: GPL-3.0-or-later
// The run document: a folder that survives a kill at any instant.
//
//   run.json            schema_version, spec, model fingerprint, versions, created_ms, plan
//   journal             append only; one record per line: crc32 (8 hex digits) space JSON event
//   newline blocks/NNNN.safetensors   finished layers of block N (codes, scales, zeros), published
//   by rename inputs/NNNN.safetensors   inputs of block N (reference, quantized); only the newest
//   is kept calibration.safetensors   ids, mask, holdout report.json         when done lock
//   flock'ed by the process that runs the job, with its pid
#pragma once

#include "base/file_ops.h"
#include "quant/codec.h"
#include "tune/block_tuner.h"

#include <bitsmith/run_reader.h>

namespace bitsmith {

class RunFolder : public quant::QuantizedStore
{
public:
    /// A new run; throws InvalidSpec when the folder already holds one.
    static std::unique_ptr<RunFolder> create(FileSystem& fs, const std::filesystem::path& folder,
        const JobSpec& spec, const ModelInfo& model, const Plan& plan);
    /// Opens for resuming. Throws InvalidSpec naming every field that differs between `spec` and
    /// the run, and when the model's fingerprint changed; fields that cannot affect finished blocks
    /// may differ.
    static std::unique_ptr<RunFolder> resume(FileSystem& fs, const std::filesystem::path& folder,
        const JobSpec& spec, const ModelInfo& model);
    /// Opens for reading (export of a finished run).
    static std::unique_ptr<RunFolder> open(const std::filesystem::path& folder);
    ~RunFolder() override;

    const std::filesystem::path& folder() const;
    const JobSpec& spec() const;
    const Plan& plan() const;

    /// Appends to the journal; flushed to the device at block ends and at least every second.
    void append(const Event& event);
    void flush();

    /// Number of leading blocks that are published and whose bytes check.
    int64_t finished_blocks() const;
    /// Publishes a block, then the inputs of the next one, then removes older inputs.
    void publish_block(int64_t index, const tune::BlockResult& result, bool keep_inputs);
    BlockFinished block_summary(int64_t index) const;
    std::vector<LayerFinished> block_errors(int64_t index) const;
    /// Inputs of block `index`; empty when they were not kept.
    std::optional<tune::BlockInputs> load_inputs(int64_t index) const;
    void publish_calibration(const at::Tensor& ids, const at::Tensor& mask,
        const at::Tensor& holdout, const std::string& origin);
    void publish_report(const Report& report);

    bool contains(std::string_view layer) const override;
    quant::QuantizedWeight load(std::string_view layer) const override;

private:
    RunFolder();
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace bitsmith
