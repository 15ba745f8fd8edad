// How the kernel shares processors between loops and those who work beside them.
#pragma once

namespace tidepool::loop {

// Asks the kernel to give the calling thread short turns, which is what lets it begin at once when
// it wakes up, although another thread's turn is not over: a worker that makes variants would else
// be let go on for some milliseconds, however far it stands back. Processes that it starts have
// turns of the usual length. Linux from 6.12 on knows that (sched_setattr(2) with a runtime, for
// SCHED_OTHER); an older one leaves all as it was.
//
// With a `lead` it also goes before the process's other threads by so many nice levels, where the
// process may do that (root, CAP_SYS_NICE, or RLIMIT_NICE); else it stays with them.
void ask_for_short_turns(unsigned lead = 0);

// Asks the kernel to let the calling thread go before all that is not real-time; its processes and
// threads do not. False with a warning where it may not.
bool ask_for_realtime();

}  // namespace tidepool::loop
