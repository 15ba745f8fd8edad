#include "storage/open_file.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace tidepool::storage {

namespace {

constexpr std::uint64_t kPageBytes = 4096;

// A file no larger than this that was found in the page cache is taken to stay there so long: what
// is being sent was just used, and the kernel drops first what was not.
constexpr std::uint64_t kRememberedBytes = 4ULL * 1024 * 1024;
constexpr std::uint64_t kRememberedMs = 500;

// cachestat(2), Linux 6.5; Debian 12's headers do not know it yet.
constexpr long kCachestatCall = 451;
struct CachestatRange {
    std::uint64_t offset;
    std::uint64_t length;
};
struct Cachestat {
    std::uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

std::int64_t nanoseconds(const timespec& time) {
    return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

// Reads one byte only if that needs no disk (preadv2(2), RWF_NOWAIT).
bool byte_in_memory(int fd, std::uint64_t offset) {
    char byte = 0;
    const iovec into{&byte, 1};
    return preadv2(fd, &into, 1, static_cast<off_t>(offset), RWF_NOWAIT) == 1;
}

bool pages_in_memory(int fd, std::uint64_t offset, std::uint64_t length) {
    CachestatRange range{offset, length};
    Cachestat state{};
    if (syscall(kCachestatCall, fd, &range, &state, 0) == 0) {
        const std::uint64_t first = offset / kPageBytes;
        const std::uint64_t last = (offset + length - 1) / kPageBytes;
        return state.cached == last - first + 1;
    }
    // An older kernel: both ends. What lies between was read with them, and is dropped with them in
    // all but rare cases.
    return byte_in_memory(fd, offset) && byte_in_memory(fd, offset + length - 1);
}

}  // namespace

FileIdentity FileIdentity::of(const struct stat& status) {
    return {.device = status.st_dev,
            .inode = status.st_ino,
            .size = static_cast<std::uint64_t>(status.st_size),
            .modified_ns = nanoseconds(status.st_mtim),
            .changed_ns = nanoseconds(status.st_ctim)};
}

OpenFile::~OpenFile() {
    conf::Descriptor file(fd_);
    if (closer_ != nullptr) closer_->close_file(std::move(file));
}

Result<void> OpenFile::read(std::uint64_t offset, std::span<char> into) const {
    // tidy: allow sleep, the debug delay is meant to block
    if (read_delay_ms_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(read_delay_ms_));
    while (!into.empty()) {
        const ssize_t got = pread(fd_, into.data(), into.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(errno, "read");
        if (got == 0) return fail(ErrorKind::busy, "read: the file ends before its size");
        offset += static_cast<std::uint64_t>(got);
        into = into.subspan(static_cast<std::size_t>(got));
    }
    return {};
}

Result<std::string> OpenFile::beginning(std::size_t most) const {
    std::string bytes(std::min<std::uint64_t>(most, identity_.size), '\0');
    if (auto done = read(0, bytes); !done) return std::unexpected(std::move(done.error()));
    return bytes;
}

bool OpenFile::in_memory(std::uint64_t offset, std::uint64_t length, std::uint64_t now_ms) const {
    if (length == 0) return true;
    if (read_delay_ms_ > 0) return false;
    Residency known = residency_.load(std::memory_order_relaxed);
    if (identity_.size <= kRememberedBytes && now_ms >= known.until_ms) {
        known = {.until_ms = (now_ms + kRememberedMs) & Residency::kTimeMask,
                 .whole = pages_in_memory(fd_, 0, identity_.size)};
        residency_.store(known, std::memory_order_relaxed);
    }
    return known.whole || pages_in_memory(fd_, offset, length);
}

bool OpenFile::unchanged() const {
    struct statx status{};
    const int flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
    if (statx(fd_, "", flags, STATX_SIZE | STATX_MTIME, &status) != 0) return false;
    const std::int64_t modified =
        status.stx_mtime.tv_sec * 1'000'000'000LL + status.stx_mtime.tv_nsec;
    return status.stx_size == identity_.size && modified == identity_.modified_ns;
}

bool OpenFile::is_unlinked() const {
    struct stat status{};
    return fstat(fd_, &status) == 0 && status.st_nlink == 0;
}

OpenFile::Writers OpenFile::writers() const {
    if (fcntl(fd_, F_SETLEASE, F_RDLCK) == 0) {
        fcntl(fd_, F_SETLEASE, F_UNLCK);
        return Writers::none;
    }
    return errno == EAGAIN ? Writers::some : Writers::unknown;
}

}  // namespace tidepool::storage
