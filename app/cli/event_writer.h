// SPDX-License-Identifier: GPL-3.0-or-later
// Writes one JSON line per event (--events).
#pragma once

#include <bitsmith/observer.h>

#include <fstream>
#include <ostream>
#include <string>

namespace bitsmith::cli {

class EventWriter : public Observer
{
public:
    /// `file` "-" means `out`. Throws WriteFailed when the file cannot be created.
    EventWriter(const std::string& file, std::ostream& out);
    void on_event(const Event& event) override;
    /// Throws WriteFailed when a line could not be written; events themselves never throw.
    void finish();

private:
    std::string name_;
    std::ofstream file_;
    std::ostream& out_;
};

} // namespace bitsmith::cli
