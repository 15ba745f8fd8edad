// A file held open, which version of it that is, and reading it without blocking where its bytes
// are in memory.
#pragma once

#include "conf/descriptor.h"
#include "conf/error.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

struct stat;

namespace tidepool::storage {

// Which version of which file: two equal identities are the same bytes, unless somebody forges
// timestamps.
struct FileIdentity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t size = 0;
    std::int64_t modified_ns = 0;  // since 1970, as are the others
    std::int64_t changed_ns = 0;
    bool operator==(const FileIdentity&) const = default;

    static FileIdentity of(const struct stat& status);
    std::int64_t modified_s() const { return modified_ns / 1'000'000'000; }
};

// Closes descriptors for those who may not wait, which close(2) does where a file system asks its
// server or a program (FUSE) first. Any thread.
class FileCloser {
  public:
    virtual ~FileCloser() = default;
    virtual void close_file(conf::Descriptor file) = 0;
};

// Owns a descriptor opened for reading. Reads may be made from any thread at once.
class OpenFile {
  public:
    // `closer` outlives it; null: whoever lets go of it last closes.
    OpenFile(int fd, const FileIdentity& identity, std::uint64_t read_delay_ms,
             FileCloser* closer = nullptr)
        : fd_(fd), identity_(identity), read_delay_ms_(read_delay_ms), closer_(closer) {}
    ~OpenFile();
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;

    int fd() const { return fd_; }
    const FileIdentity& identity() const { return identity_; }

    // Blocks. Reads exactly `into.size()` bytes; a file that ends earlier is ErrorKind::busy:
    // somebody cut it.
    Result<void> read(std::uint64_t offset, std::span<char> into) const;

    // Blocks. Its first bytes, at most so many.
    Result<std::string> beginning(std::size_t most) const;

    // Never blocks. True where this part was in the page cache just now, or the whole file was less
    // than a second ago, so that sending it will not wait for a disk. False also where the kernel
    // or the file system cannot tell. `now_ms` is of any monotonic clock, always the same.
    bool in_memory(std::uint64_t offset, std::uint64_t length, std::uint64_t now_ms) const;

    // Never blocks. True where the file is still the version that was opened, as far as this kernel
    // knows without asking a server. A program that rewrites a file in place makes this false.
    bool unchanged() const;

    // True where the file has no name any more, and so goes with its last descriptor.
    bool is_unlinked() const;

    // Blocks shortly. False while another process holds the file open for writing; nothing where
    // the kernel does not say (not our file, or a file system without leases). See fcntl(2),
    // F_SETLEASE; SIGIO must be ignored.
    enum class Writers : std::uint8_t { none, some, unknown };
    Writers writers() const;

  private:
    int fd_;
    FileIdentity identity_;
    std::uint64_t read_delay_ms_;  // debug_disk_delay of the pool
    FileCloser* closer_;
    // Whether the whole file was found in the page cache, and how long that is believed.
    struct Residency {
        static constexpr std::uint64_t kTimeMask = ~0ULL >> 1;
        std::uint64_t until_ms : 63;
        std::uint64_t whole : 1;
    };
    mutable std::atomic<Residency> residency_ = Residency{.until_ms = 0, .whole = 0};
};

}  // namespace tidepool::storage
