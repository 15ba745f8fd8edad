// An owned file descriptor, and reading and writing all of something.
#pragma once

#include <cerrno>
#include <cstdint>
#include <span>
#include <utility>

#include <unistd.h>

namespace tidepool::conf {

// Owns a descriptor; -1 is none.
class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() { reset(); }
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int release() { return std::exchange(fd_, -1); }

  private:
    void reset() {
        const int kept = errno;  // what the caller is about to report
        if (fd_ >= 0) close(std::exchange(fd_, -1));
        errno = kept;
    }
    int fd_ = -1;
};

// Blocks. Writes all of it, to files and pipes alike, however often the kernel takes less; 0, or
// the errno of what failed.
int write_all(int fd, std::span<const char> bytes);

// Blocks. Fills all of `bytes` from there on in the file; 0, or the errno of what failed, EIO where
// the file ends before.
int read_all(int fd, std::span<char> bytes, std::uint64_t offset);

}  // namespace tidepool::conf
