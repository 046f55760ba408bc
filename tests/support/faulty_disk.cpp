// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/faulty_disk.h"

#include <bitsmith/error.h>

using bitsmith::ByteSink;

namespace {

class FaultySink : public ByteSink
{
public:
    FaultySink(FaultyDisk& disk, std::filesystem::path file, std::unique_ptr<ByteSink> sink)
        : disk_(disk)
        , file_(std::move(file))
        , sink_(std::move(sink))
    { }
    void write(std::span<const std::byte> bytes) override
    {
        disk_.step("cannot write", file_, [&] {
            if (disk_.fault() == FaultyDisk::Fault::ShortWrite) {
                sink_->write(bytes.first(bytes.size() / 2));
            }
        });
        sink_->write(bytes);
    }
    int64_t size() const override { return sink_->size(); }
    void finish() override
    {
        disk_.step("cannot flush to the device", file_);
        sink_->finish();
    }

private:
    FaultyDisk& disk_;
    std::filesystem::path file_;
    std::unique_ptr<ByteSink> sink_;
};

} // namespace

void FaultyDisk::step(const std::string& what, const std::filesystem::path& file,
    const std::function<void()>& before_failing)
{
    const int64_t index = next_++;
    const bool stays_full = fault_ != Fault::IoError && failing_ >= 0 && index > failing_;
    if (index != failing_ && !stays_full) {
        return;
    }
    if (before_failing && index == failing_) {
        before_failing();
    }
    bitsmith::fail(bitsmith::ErrorCode::WriteFailed, what,
        {{"file", file.string()},
            {"reason",
                fault_ == Fault::IoError ? "Input/output error" : "No space left on device"}});
}

std::unique_ptr<ByteSink> FaultyDisk::create(const std::filesystem::path& file)
{
    step("cannot create the file", file);
    return std::make_unique<FaultySink>(*this, file, bitsmith::disk().create(file));
}

std::unique_ptr<ByteSink> FaultyDisk::append(const std::filesystem::path& file)
{
    step("cannot create the file", file);
    return std::make_unique<FaultySink>(*this, file, bitsmith::disk().append(file));
}

void FaultyDisk::create_folders(const std::filesystem::path& folder)
{
    step("cannot create the folder", folder);
    bitsmith::disk().create_folders(folder);
}

void FaultyDisk::rename(const std::filesystem::path& from, const std::filesystem::path& to)
{
    step("cannot rename", to);
    bitsmith::disk().rename(from, to);
}

void FaultyDisk::remove_all(const std::filesystem::path& path)
{
    bitsmith::disk().remove_all(path);
}

void FaultyDisk::sync_folder(const std::filesystem::path& folder)
{
    step("cannot flush to the device", folder);
    bitsmith::disk().sync_folder(folder);
}
