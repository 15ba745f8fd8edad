// A non-blocking stream socket on a loop: waits as awaitables, reads and writes as plain system
// calls, or by the loop together with others'.
#pragma once

#include "proxy/loop/loop.h"

#include <coroutine>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

namespace tidepool::loop {

// How a wait ended.
enum class Wake : std::uint8_t { ready, timed_out, closed };

// Who gives room for what a socket receives: at least one byte, which stays until the wait for it
// has ended. Asked only when something has come.
struct Receiver {
    std::span<char> (*room)(void* owner) = nullptr;
    void* owner = nullptr;
};

// Owns the descriptor. At most one wait at a time, by the one coroutine that serves the connection.
// Loop thread only.
//
// Watched edge-triggered: the kernel tells of a change once. So whoever reads or writes says when
// the socket has no more to give or take; until then a wait ends at once.
class Socket final : private Watcher {
  public:
    // Takes `fd`, which must be non-blocking.
    Socket(Loop& loop, int fd);
    // Nothing may wait. Closes the descriptor.
    ~Socket();
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    class Wait {
      public:
        Wait(Socket& socket, std::uint8_t side, Receiver receiver = {})
            : socket_(socket), side_(side), receiver_(receiver) {}
        bool await_ready() noexcept { return socket_.ready_without_wait(side_); }
        void await_suspend(std::coroutine_handle<> waiter) {
            socket_.begin_wait(side_, waiter, receiver_);
        }
        Wake await_resume() const noexcept { return socket_.wake_; }

      private:
        Socket& socket_;
        std::uint8_t side_;
        Receiver receiver_;
    };
    Wait readable() { return {*this, kReadable}; }
    // The same for who would only receive then: the loop does so, together with others', where it
    // had to be waited for. See take_received().
    Wait receivable(Receiver receiver) { return {*this, kReadable, receiver}; }
    // What the loop received, or an errno's negative; nothing where it did not.
    std::optional<std::int64_t> take_received() { return std::exchange(received_, std::nullopt); }
    Wait writable() { return {*this, kWritable}; }
    // For whichever of them comes first; neither: for a poke or the deadline.
    Wait ready(bool to_read, bool to_write) {
        return {*this,
                static_cast<std::uint8_t>((to_read ? kReadable : 0) | (to_write ? kWritable : 0))};
    }

    // The wait that is pending, or comes next, ends with `ready`, though nothing happened here. The
    // waiter is resumed by the loop, not from here.
    void poke();

    // A read gave less than was asked for. What comes later is told; the peer's end, which may have
    // come together with the last bytes, was.
    void drained() {
        if (!peer_ended_) ready_ &= static_cast<std::uint8_t>(~kReadable);
    }
    // A read or write would have had to wait (EAGAIN).
    void not_readable() {
        peer_ended_ = false;  // else there would have been an end or an error to read
        ready_ &= static_cast<std::uint8_t>(~kReadable);
    }
    // False: nothing has come, nor an end, since a read found nothing more.
    bool may_be_readable() const { return (ready_ & kReadable) != 0; }
    void not_writable() { ready_ &= static_cast<std::uint8_t>(~kWritable); }

    // The wait that is pending or comes next ends with timed_out at this time of the loop's clock,
    // unless the deadline was moved in between.
    void set_deadline(std::uint64_t at_ms) {
        overdue_ = false;
        deadline_.set(at_ms);
    }

    // This and every later wait ends with `closed`. The waiter is resumed by the loop, not from
    // here.
    void close_waits();
    bool is_closing() const { return closing_; }

    // Cuts the connection with RST when it is destroyed, so that the peer cannot take what it got
    // for a whole answer.
    void reset_on_close();

    int fd() const { return fd_; }

  private:
    static constexpr std::uint8_t kReadable = 1;
    static constexpr std::uint8_t kWritable = 2;

    bool ready_without_wait(std::uint8_t side);
    void begin_wait(std::uint8_t side, std::coroutine_handle<> waiter, Receiver receiver);
    void finish_wait(Wake wake);
    void on_events(std::uint32_t events) override;
    bool wants_to_receive(SocketCall& call) override;
    void received(std::int64_t result) override;
    void on_deadline();

    Loop& loop_;
    int fd_;
    bool watched_ = false;  // from the first wait on: a short connection needs none
    bool closing_ = false;
    bool peer_ended_ = false;
    bool poked_ = false;
    bool overdue_ = false;                        // the deadline passed while nobody waited
    std::uint8_t ready_ = kReadable | kWritable;  // sides that nobody has found otherwise
    std::uint8_t waiting_for_ = 0;
    Wake wake_ = Wake::ready;
    std::coroutine_handle<> waiter_;
    Receiver receiver_;  // the waiter's, where it has one
    bool is_receiving_ = false;
    iovec room_{};
    std::optional<std::int64_t> received_;
    Deadline deadline_;
};

}  // namespace tidepool::loop
