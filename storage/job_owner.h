// Who holds a lease, so that others can see that it has died.
#pragma once

#include <string>
#include <string_view>

namespace tidepool::storage {

// A name of this process and this caller that no other has, ever: with it go the machine's boot,
// the name space of its process ids, the process id and when the process began.
std::string new_job_owner();

// True: the owner was a process of this machine, and has ended. Of other machines, and of names
// that were not made here, nothing is known, so they count as alive. Reads /proc; any thread.
bool has_ended(std::string_view owner);

}  // namespace tidepool::storage
