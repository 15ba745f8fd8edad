#include "proxy/loop/socket.h"

#include <cstdlib>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

namespace tidepool::loop {

Socket::Socket(Loop& loop, int fd)
    : loop_(loop),
      fd_(fd),
      deadline_(
          loop.wheel(),
          [](void* self) { static_cast<Socket*>(self)->finish_wait(Wake::timed_out); }, this) {}

Socket::~Socket() {
    // Stops the watching at once, so that the descriptor may be closed here; the memory goes with
    // the callback.
    if (poll_ != nullptr) {
        uv_close(reinterpret_cast<uv_handle_t*>(poll_),
                 [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
    }
    close(fd_);
}

Wake Socket::Wait::await_resume() noexcept {
    return socket_.closing_ ? Wake::closed : socket_.wake_;
}

void Socket::want(int events) {
    if (wanted_ == events) return;
    if (poll_ == nullptr) {
        poll_ = new uv_poll_t;
        if (uv_poll_init(loop_.raw(), poll_, fd_) != 0)
            std::abort();  // only for what is not a socket
        poll_->data = this;
    }
    wanted_ = events;
    if (events == 0) {
        uv_poll_stop(poll_);
    } else {
        uv_poll_start(poll_, events, &Socket::on_poll);
    }
}

void Socket::begin_wait(int events, std::coroutine_handle<> waiter) {
    waiting_for_ = events;
    waiter_ = waiter;
    // Watching for more than is waited for costs nothing until such an event comes (see on_poll),
    // and saves the system calls of switching back and forth.
    if ((wanted_ & events) != events) want(events);
}

void Socket::finish_wait(Wake wake) {
    if (!waiter_) return;
    wake_ = wake;
    waiting_for_ = 0;
    std::exchange(waiter_, nullptr).resume();  // may destroy this socket
}

void Socket::on_poll(uv_poll_t* handle, int status, int events) {
    auto& socket = *static_cast<Socket*>(handle->data);
    // An error is readable and writable: the system call that follows says which error it is.
    if (status < 0) events = UV_READABLE | UV_WRITABLE;
    if ((events & socket.waiting_for_) != 0) {
        socket.finish_wait(Wake::ready);
    } else {
        socket.want(socket.waiting_for_);  // level-triggered: an event nobody waits for would come
                                           // again and again
    }
}

void Socket::close_waits() {
    if (closing_) return;
    closing_ = true;
    if (!waiter_) return;
    waiting_for_ = 0;
    loop_.post(std::exchange(waiter_, nullptr));
}

void Socket::reset_on_close() {
    const linger cut{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &cut, sizeof cut);
}

}  // namespace tidepool::loop
