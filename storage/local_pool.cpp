#include "storage/local_pool.h"

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tidepool::storage {

namespace {

// openat2(2) has no wrapper in Debian 12's libc.
int open_beneath(int base, const std::string& relative) {
    open_how how{};
    // O_NONBLOCK: opening a pipe somebody left there must not wait for its writer.
    how.flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    while (true) {
        const long fd = syscall(SYS_openat2, base, relative.c_str(), &how, sizeof how);
        // EAGAIN: a rename ran beside the lookup and the kernel could not prove that it stayed
        // beneath.
        if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) return static_cast<int>(fd);
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

}  // namespace

LocalPool::LocalPool(const conf::PoolSettings& settings, std::string key_prefix)
    : name_(settings.name),
      base_path_(settings.base_path),
      key_prefix_(std::move(key_prefix)),
      read_delay_ms_(static_cast<std::uint64_t>(settings.debug_disk_delay.count())) {}

// Opened for each call, like a web server resolves each path from the root: a base path that is
// remounted or swapped for another folder is followed at once.
Result<int> LocalPool::open_base() const {
    const int base = ::open(base_path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (base >= 0) return base;
    auto error = fail_errno(errno, fmt::format("pool {}: base path {}", name_, base_path_));
    error.error().kind = ErrorKind::io;  // its absence says nothing about the files on it
    return error;
}

Result<std::shared_ptr<OpenFile>> LocalPool::open(std::string_view key) const {
    const std::string relative(key.substr(key_prefix_.size()));
    const auto base = open_base();
    if (!base) return std::unexpected(base.error());
    const int fd = open_beneath(*base, relative);
    const int open_error = errno;
    close(*base);
    if (fd < 0) return open_failed(open_error, fmt::format("pool {}: open {}", name_, relative));

    struct stat status{};
    if (fstat(fd, &status) != 0) {
        const int stat_error = errno;
        close(fd);
        return fail_errno(stat_error, fmt::format("pool {}: stat {}", name_, relative));
    }
    if (!S_ISREG(status.st_mode)) {
        close(fd);
        const auto kind = S_ISDIR(status.st_mode) ? ErrorKind::not_found : ErrorKind::denied;
        return fail(kind, fmt::format("pool {}: {} is not a regular file", name_, relative));
    }
    return std::make_shared<OpenFile>(fd, FileIdentity::of(status), read_delay_ms_);
}

Result<void> LocalPool::check() const {
    const int fd = ::open(base_path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail_errno(errno, fmt::format("pool {}: base path {}", name_, base_path_));
    close(fd);
    return {};
}

}  // namespace tidepool::storage
