// A non-blocking stream socket on a loop: waits as awaitables, reads and writes as plain system
// calls.
#pragma once

#include "proxy/loop/loop.h"

#include <coroutine>
#include <cstdint>

#include <sys/types.h>
#include <sys/uio.h>
#include <uv.h>

namespace tidepool::loop {

// How a wait ended.
enum class Wake : std::uint8_t { ready, timed_out, closed };

// Owns the descriptor. At most one wait at a time, by the one coroutine that serves the connection.
// Loop thread only.
//
// libuv's poll handle is used rather than its stream: sendfile(2) needs the bare descriptor and its
// readiness.
class Socket {
  public:
    // Takes `fd`, which must be non-blocking.
    Socket(Loop& loop, int fd);
    // Nothing may wait. Closes the descriptor.
    ~Socket();
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    class Wait {
      public:
        Wait(Socket& socket, int events) : socket_(socket), events_(events) {}
        bool await_ready() const noexcept { return socket_.closing_; }
        void await_suspend(std::coroutine_handle<> waiter) { socket_.begin_wait(events_, waiter); }
        Wake await_resume() noexcept;

      private:
        Socket& socket_;
        int events_;
    };
    Wait readable() { return {*this, UV_READABLE}; }
    Wait writable() { return {*this, UV_WRITABLE}; }

    // The wait that is pending or comes next ends with timed_out at this time of the loop's clock,
    // unless the deadline was moved in between.
    void set_deadline(std::uint64_t at_ms) { deadline_.set(at_ms); }

    // This and every later wait ends with `closed`. The waiter is resumed by the loop, not from
    // here.
    void close_waits();

    // Cuts the connection with RST when it is destroyed, so that the peer cannot take what it got
    // for a whole answer.
    void reset_on_close();

    int fd() const { return fd_; }
    Loop& loop() { return loop_; }

  private:
    friend class Wait;

    void begin_wait(int events, std::coroutine_handle<> waiter);
    void finish_wait(Wake wake);
    void want(int events);
    static void on_poll(uv_poll_t* handle, int status, int events);

    Loop& loop_;
    int fd_;
    uv_poll_t* poll_ = nullptr;  // made by the first wait: a short connection needs none; freed by
                                 // its close callback
    int wanted_ = 0;             // what libuv watches for
    int waiting_for_ = 0;
    std::coroutine_handle<> waiter_;
    Wake wake_ = Wake::ready;
    bool closing_ = false;
    Deadline deadline_;
};

}  // namespace tidepool::loop
