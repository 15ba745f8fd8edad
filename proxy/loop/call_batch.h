// Many socket calls by one system call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <sys/socket.h>
#include <sys/uio.h>

struct io_uring;

namespace tidepool::loop {

// One call at a socket, which does not wait whatever the socket's mode is. What it names must stay
// until it was made, and it must not be moved meanwhile.
struct SocketCall {
    enum class Kind : std::uint8_t { receive, send };

    Kind kind = Kind::receive;
    int fd = -1;
    std::span<iovec> pieces{};  // at least one
    int flags = 0;              // see send(2), recv(2)
    std::int64_t result = 0;    // once it was made: bytes, or an errno's negative
    msghdr message{};           // for whoever makes it
};

// Makes one by a system call of its own.
void make_call(SocketCall& call);

// A ring of the kernel's (io_uring(7)) that is used for nothing but to hand over several calls at
// once; none of them waits, so all have been made when that returns. What a system call costs by
// itself is then shared: where that is much, as in many virtual machines, it is most of what a
// small answer costs. Of one thread.
class CallBatch {
  public:
    CallBatch();
    ~CallBatch();
    CallBatch(const CallBatch&) = delete;
    CallBatch& operator=(const CallBatch&) = delete;

    // On the thread that will make the calls. Where the kernel gives none (an old one, or one that
    // was told not to), calls are made one by one.
    void open_ring();
    bool has_ring() const { return ring_ != nullptr; }

    // Makes them, in any order.
    void make(std::span<SocketCall* const> calls);

    // Calls that fit in the ring; more are handed over in several goes.
    static constexpr unsigned kMost = 64;

  private:
    struct Closer {
        void operator()(io_uring* ring) const;
    };

    void hand_over(std::span<SocketCall* const> calls);

    std::unique_ptr<io_uring, Closer> ring_;
};

}  // namespace tidepool::loop
