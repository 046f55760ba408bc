// SPDX-License-Identifier: GPL-3.0-or-later
// A disk whose n-th operation fails, on top of the real one.
#pragma once

#include "base/file_ops.h"

class FaultyDisk : public bitsmith::FileSystem
{
public:
    enum class Fault
    {
        NoSpace, ///< this operation and all later writes fail: the disk stays full
        IoError, ///< this operation alone fails
        ShortWrite ///< half of the bytes arrive, then the disk is full; like NoSpace elsewhere
    };

    FaultyDisk() = default; ///< never fails, counts
    /// The operation with index `failing` fails.
    FaultyDisk(int64_t failing, Fault fault)
        : failing_(failing)
        , fault_(fault)
    { }

    std::unique_ptr<bitsmith::ByteSink> create(const std::filesystem::path& file) override;
    std::unique_ptr<bitsmith::ByteSink> append(const std::filesystem::path& file) override;
    void create_folders(const std::filesystem::path& folder) override;
    void rename(const std::filesystem::path& from, const std::filesystem::path& to) override;
    void remove_all(const std::filesystem::path& path) override;
    void sync_folder(const std::filesystem::path& folder) override;

    /// Operations so far: create, append, write, finish, rename, folders, sync; removing never fails.
    int64_t operations() const { return next_; }

    /// For sinks. Throws WriteFailed when this operation is the failing one. `before_failing` is
    /// called first.
    void step(const std::string& what, const std::filesystem::path& file,
        const std::function<void()>& before_failing = {});
    Fault fault() const { return fault_; }

private:
    int64_t next_ = 0;
    int64_t failing_ = -1;
    Fault fault_ = Fault::NoSpace;
};
