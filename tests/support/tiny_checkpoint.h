// SPDX-License-Identifier: GPL-3.0-or-later
// The tiny model in a temporary folder, with ways to change one thing about it.
#pragma once

#include "base/file_ops.h"
#include "base/json_io.h"
#include "source/tiny_model.h"
#include "support/temp_folder.h"
#include "tensor/safetensors_reader.h"
#include "tensor/safetensors_writer.h"

#include <ATen/ATen.h>

#include <functional>

class TinyCheckpoint
{
public:
    using Tensors = std::vector<std::pair<std::string, at::Tensor>>;

    explicit TinyCheckpoint(const bitsmith::source::TinyModelShape& shape = {})
    {
        bitsmith::source::write_tiny_model(bitsmith::disk(), temp.path(), shape);
    }

    std::string path() const { return temp.path().string(); }

    void edit_config(const std::function<void(bitsmith::Json&)>& edit) const
    {
        bitsmith::Json config = bitsmith::read_json_file(temp / "config.json");
        edit(config);
        temp.write("config.json", config.dump(2));
    }

    /// Rewrites model.safetensors.
    void edit_tensors(const std::function<void(Tensors&)>& edit) const
    {
        edit_tensors(temp.path(), edit);
    }
    /// The same in any folder.
    static void edit_tensors(
        const std::filesystem::path& folder, const std::function<void(Tensors&)>& edit)
    {
        Tensors tensors;
        {
            const bitsmith::tensor::SafetensorsReader reader(
                bitsmith::map_file(folder / "model.safetensors"));
            for (const auto& entry : reader.entries()) {
                tensors.emplace_back(entry.name, reader.load(entry.name).clone());
            }
        }
        edit(tensors);
        bitsmith::tensor::publish_safetensors(
            bitsmith::disk(), folder / "model.safetensors", tensors);
    }

    static at::Tensor& find(Tensors& tensors, const std::string& name)
    {
        for (auto& item : tensors) {
            if (item.first == name) {
                return item.second;
            }
        }
        throw std::runtime_error("no tensor " + name);
    }
    static void erase(Tensors& tensors, const std::string& prefix)
    {
        std::erase_if(tensors, [&](const auto& item) { return item.first.starts_with(prefix); });
    }

    TempFolder temp;
};
