// SPDX-License-Identifier: GPL-3.0-or-later
#include "interrupt.h"

#include "console.h"

#include <bitsmith/error.h>

#include <array>
#include <csignal>
#include <cstring>
#include <unistd.h>

namespace bitsmith::cli {

namespace {

// A handler can reach nothing but globals.
int g_pipe_write = -1;
volatile std::sig_atomic_t g_interrupts = 0;

extern "C" void bitsmith_on_interrupt(int)
{
    g_interrupts = g_interrupts + 1;
    if (g_interrupts > 1) {
        ::_exit(kExitCancelled);
    }
    const char byte = 'c';
    // A pipe takes one byte unless the program is ending anyway.
    [[maybe_unused]] const ssize_t written = ::write(g_pipe_write, &byte, 1);
}

void watch(int pipe_read, RunControl control)
{
    constexpr const char* kText =
        "\ncancelling at the next safe point; Ctrl-C again ends at once\n";
    char byte = 0;
    if (::read(pipe_read, &byte, 1) == 1 && byte == 'c') {
        control.cancel();
        [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kText, std::strlen(kText));
    }
    ::close(pipe_read);
}

} // namespace

InterruptScope::InterruptScope(RunControl control)
{
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) {
        fail(ErrorCode::Internal, "cannot make a pipe for signals");
    }
    g_pipe_write = ends[1];
    g_interrupts = 0;
    watcher_ = std::thread(watch, ends[0], std::move(control));
    struct sigaction action = {};
    action.sa_handler = bitsmith_on_interrupt;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
}

InterruptScope::~InterruptScope()
{
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    ::close(g_pipe_write); // ends the watcher's read
    watcher_.join();
}

} // namespace bitsmith::cli
