// Opening what lies below a folder and nothing else (invariant 9). Blocking calls; any thread.
#pragma once

#include "conf/descriptor.h"
#include "conf/error.h"

#include <string>

#include <sys/types.h>

namespace tidepool::storage {

// openat2(2): `relative` below the folder `base`, never through a link, never out of it. `flags`
// and `mode` as for open(2); O_CLOEXEC and O_NOFOLLOW are added. On failure none, and errno says
// why: ELOOP for a link, EXDEV for a way out.
conf::Descriptor open_beneath(int base, const std::string& relative, int flags, mode_t mode = 0);

// What a failed opening of a file means: absent, not ours to open, or the disk's fault.
std::unexpected<Error> open_failed(int error_number, const std::string& what);

}  // namespace tidepool::storage
