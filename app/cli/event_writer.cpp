// SPDX-License-Identifier: GPL-3.0-or-later
#include "event_writer.h"

#include <bitsmith/spec_json.h>

namespace bitsmith::cli {

EventWriter::EventWriter(const std::string& file, std::ostream& out)
    : name_(file)
    , out_(file == "-" ? out : file_)
{
    if (file != "-") {
        file_.open(file, std::ios::binary | std::ios::trunc);
        if (!file_) {
            fail(ErrorCode::WriteFailed, "cannot create the file of events", {{"file", file}});
        }
    }
}

void EventWriter::on_event(const Event& event)
{
    out_ << to_json_line(event) << '\n' << std::flush;
}

void EventWriter::finish()
{
    if (!out_) {
        fail(ErrorCode::WriteFailed, "events could not be written", {{"file", name_}});
    }
}

} // namespace bitsmith::cli
