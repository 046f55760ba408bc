// SPDX-License-Identifier: GPL-3.0-or-later
#include <bitsmith/control.h>
#include <bitsmith/error.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace bitsmith {

struct RunControl::State
{
    std::atomic<bool> cancelled = false;
    std::atomic<bool> pause_now = false;
    std::atomic<bool> pause_after_block = false;
    std::mutex mutex;
    std::condition_variable changed;

    void set(std::atomic<bool>& flag, bool value)
    {
        {
            std::lock_guard lock(mutex);
            flag = value;
        }
        changed.notify_all();
    }
};

RunControl::RunControl()
    : state_(std::make_shared<State>())
{ }

void RunControl::cancel()
{
    state_->set(state_->cancelled, true);
}

void RunControl::pause(PauseKind kind)
{
    state_->set(kind == PauseKind::Now ? state_->pause_now : state_->pause_after_block, true);
}

void RunControl::resume()
{
    state_->set(state_->pause_after_block, false);
    state_->set(state_->pause_now, false);
}

bool RunControl::cancelled() const
{
    return state_->cancelled;
}

bool RunControl::paused() const
{
    return state_->pause_now || state_->pause_after_block;
}

void RunControl::block_finished()
{
    if (state_->pause_after_block.exchange(false)) {
        state_->set(state_->pause_now, true);
    }
}

bool RunControl::wants_pause() const
{
    return state_->pause_now && !state_->cancelled;
}

void RunControl::wait_while_paused() const
{
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [this] { return !state_->pause_now || state_->cancelled; });
}

void RunControl::throw_if_cancelled() const
{
    if (state_->cancelled) {
        throw Cancelled();
    }
}

} // namespace bitsmith
