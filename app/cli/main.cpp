// SPDX-License-Identifier: GPL-3.0-or-later
#include "program.h"

#include <iostream>
#include <sys/ioctl.h>
#include <unistd.h>

namespace {

int terminal_width()
{
    winsize size{};
    const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20;
    return known ? size.ws_col : 80;
}

} // namespace

int main(int argc, char** argv)
{
    const bool terminal = ::isatty(STDERR_FILENO) != 0;
    return bitsmith::cli::run_program(std::vector<std::string>(argv + 1, argv + argc),
        {std::cout, std::cerr, terminal, terminal_width()});
}
