#include "storage/beneath.h"

#include <cstdint>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

namespace tidepool::storage {

conf::Descriptor open_beneath(int base, const std::string& relative, int flags, mode_t mode) {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW);
    how.mode = mode;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    while (true) {
        // It has no wrapper in Debian 12's libc.
        const long fd = syscall(SYS_openat2, base, relative.c_str(), &how, sizeof how);
        // EAGAIN: a rename ran beside the lookup and the kernel could not prove that it stayed
        // beneath.
        if (fd >= 0 || (errno != EINTR && errno != EAGAIN))
            return conf::Descriptor(static_cast<int>(fd));
    }
}

std::unexpected<Error> open_failed(int error_number, const std::string& what) {
    switch (error_number) {
        case ENOENT:
        case ENOTDIR:
        case ENAMETOOLONG:
            return fail(ErrorKind::not_found, what);
        case ELOOP:
        case EXDEV:
        case EACCES:
        case EPERM:
        case ENXIO: {
            auto error = fail_errno(error_number, what);
            error.error().kind = ErrorKind::denied;
            return error;
        }
        default: {
            auto error = fail_errno(error_number, what);
            error.error().kind = ErrorKind::io;
            return error;
        }
    }
}

}  // namespace tidepool::storage
