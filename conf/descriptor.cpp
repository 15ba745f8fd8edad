#include "conf/descriptor.h"

#include <algorithm>

namespace tidepool::conf {

namespace {

// A kernel that does not preempt itself lets nobody else have the core until a call is done, not
// even a loop that goes before all others: 256 KiB into new pages take half a millisecond, which
// a reader of hot files waited for.
constexpr std::size_t kMostAtOnce = 128ULL * 1024;

}  // namespace

int write_all(int fd, std::span<const char> bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::write(fd, bytes.data(), std::min(bytes.size(), kMostAtOnce));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return errno;
        bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
    return 0;
}

int read_all(int fd, std::span<char> bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
        const ssize_t count = pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return errno;
        if (count == 0) return EIO;
        bytes = bytes.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return 0;
}

}  // namespace tidepool::conf
