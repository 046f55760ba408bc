// SPDX-License-Identifier: GPL-3.0-or-later
// Runs a fuzz target on files and on the files of folders, for compilers without libFuzzer. Each
// name is written before its file is read: the last one is the culprit when the process ends.
#include "base/file_ops.h"

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;

void replay(const fs::path& file)
{
    std::fprintf(stderr, "%s\n", file.c_str());
    const std::string bytes = bitsmith::read_text_file(file);
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

/// Files replayed.
int replay_below(const fs::path& path)
{
    if (!fs::is_directory(path)) {
        replay(path);
        return 1;
    }
    int files = 0;
    for (const auto& entry : fs::directory_iterator(path)) {
        files += replay_below(entry.path());
    }
    return files;
}

} // namespace

int main(int argc, char** argv)
{
    int files = 0;
    for (int i = 1; i < argc; ++i) {
        files += replay_below(argv[i]);
    }
    std::fprintf(stderr, "%d files\n", files);
    return files > 0 ? 0 : 1;
}
