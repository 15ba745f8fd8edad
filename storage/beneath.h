// Opening what lies below a folder and nothing else (invariant 9). Blocking calls; any thread.
#pragma once

#include "conf/error.h"

#include <cerrno>
#include <string>
#include <utility>

#include <sys/types.h>
#include <unistd.h>

namespace tidepool::storage {

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

// openat2(2): `relative` below the folder `base`, never through a link, never out of it. `flags`
// and `mode` as for open(2); O_CLOEXEC and O_NOFOLLOW are added. On failure none, and errno says
// why: ELOOP for a link, EXDEV for a way out.
Descriptor open_beneath(int base, const std::string& relative, int flags, mode_t mode = 0);

// What a failed opening of a file means: absent, not ours to open, or the disk's fault.
std::unexpected<Error> open_failed(int error_number, const std::string& what);

}  // namespace tidepool::storage
