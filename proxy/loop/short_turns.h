// How the kernel shares processors between loops and those who work beside them.
#pragma once

namespace tidepool::loop {

// Asks the kernel to give the calling thread short turns, which is what lets it begin at once when
// it wakes up, although another thread's turn is not over: a worker that makes variants would else
// be let go on for some milliseconds, however far it stands back. Processes that it starts have
// turns of the usual length. Linux from 6.12 on knows that (sched_setattr(2) with a runtime, for
// SCHED_OTHER); an older one leaves all as it was.
void ask_for_short_turns();

// Asks the kernel to let the calling thread go before all that is not real-time; its processes and
// threads do not. False with a warning where it may not.
bool ask_for_realtime();

}  // namespace tidepool::loop
