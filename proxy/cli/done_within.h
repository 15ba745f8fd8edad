#pragma once

#include <chrono>
#include <functional>
#include <optional>

namespace tidepool::cli {

// Does `work` in a child process, and gives what it returned: false, too, where that died. Nothing
// where it did not end in this time. A call that waits for a dead disk can be neither ended nor
// left to a thread, since a process ends only with all its threads. Not where there are threads
// already.
std::optional<bool> done_within(std::chrono::milliseconds patience,
                                const std::function<bool()>& work);

}  // namespace tidepool::cli
