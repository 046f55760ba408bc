// SPDX-License-Identifier: GPL-3.0-or-later
// Cancel, pause and resume a running job from another thread.
#pragma once

#include <memory>

namespace bitsmith {

enum class PauseKind
{
    Now,
    AfterBlock
};

/// Copyable handle on the wishes of the user. All functions may be called from any thread.
class RunControl
{
public:
    RunControl();

    void cancel();
    void pause(PauseKind kind);
    void resume();

    bool cancelled() const;
    bool paused() const; ///< a pause is wished for, whether or not the job has reached it

    /// Job's side, at every safe point: throws Cancelled, or waits while a pause "now" is wished
    /// for. `on_pause(true)` is called before waiting and `on_pause(false)` after.
    template <class F>
    void checkpoint(F&& on_pause)
    {
        if (wants_pause()) {
            on_pause(true);
            wait_while_paused();
            on_pause(false);
        }
        throw_if_cancelled();
    }
    void checkpoint()
    {
        checkpoint([](bool) {});
    }
    /// Job's side, after a finished block: turns a pause "after block" into a pause "now".
    void block_finished();

private:
    bool wants_pause() const;
    void wait_while_paused() const;
    void throw_if_cancelled() const;

    struct State;
    std::shared_ptr<State> state_;
};

} // namespace bitsmith
