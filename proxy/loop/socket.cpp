#include "proxy/loop/socket.h"

#include <utility>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tidepool::loop {

Socket::Socket(Loop& loop, int fd)
    : loop_(loop),
      fd_(fd),
      deadline_(
          loop.wheel(), [](void* self) { static_cast<Socket*>(self)->on_deadline(); }, this) {}

Socket::~Socket() {
    if (watched_) loop_.forget(fd_);
    close(fd_);
}

bool Socket::ready_without_wait(std::uint8_t side) {
    if (closing_) {
        wake_ = Wake::closed;
    } else if ((ready_ & side) != 0 || std::exchange(poked_, false)) {
        wake_ = Wake::ready;
    } else if (std::exchange(overdue_, false)) {
        wake_ = Wake::timed_out;
    } else {
        return false;
    }
    return true;
}

void Socket::begin_wait(std::uint8_t side, std::coroutine_handle<> waiter, Receiver receiver) {
    waiting_for_ = side;
    receiver_ = receiver;
    waiter_ = waiter;
    if (std::exchange(watched_, true)) return;
    // Where the event came before this call, the kernel tells of it now.
    loop_.watch(fd_, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, *this);
}

void Socket::finish_wait(Wake wake) {
    wake_ = wake;
    waiting_for_ = 0;
    std::exchange(waiter_, nullptr).resume();  // may destroy this socket
}

void Socket::on_events(std::uint32_t events) {
    // An error or the peer's end is readable and writable: the system call that follows says which.
    constexpr std::uint32_t kEnded = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if ((events & kEnded) != 0) peer_ended_ = true;
    if ((events & (EPOLLIN | kEnded)) != 0) ready_ |= kReadable;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) ready_ |= kWritable;
    if (!waiter_ || (ready_ & waiting_for_) == 0) return;
    if (receiver_.room != nullptr) {
        loop_.receive_soon(fd_);
    } else {
        finish_wait(Wake::ready);
    }
}

bool Socket::wants_to_receive(SocketCall& call) {
    if (!waiter_ || receiver_.room == nullptr || is_receiving_) return false;
    const std::span<char> room = receiver_.room(receiver_.owner);
    room_ = {room.data(), room.size()};
    call = {.kind = SocketCall::Kind::receive, .fd = fd_, .pieces = {&room_, 1}};
    is_receiving_ = true;
    return true;
}

void Socket::received(std::int64_t result) {
    if (!std::exchange(is_receiving_, false)) return;
    received_ = result;
    if (waiter_) finish_wait(Wake::ready);
}

void Socket::on_deadline() {
    if (waiter_) {
        finish_wait(Wake::timed_out);
    } else {
        overdue_ = true;
    }
}

void Socket::close_waits() {
    if (closing_) return;
    closing_ = true;
    if (!waiter_) return;
    wake_ = Wake::closed;
    waiting_for_ = 0;
    loop_.post(std::exchange(waiter_, nullptr));
}

void Socket::poke() {
    if (!waiter_) {
        poked_ = true;
        return;
    }
    wake_ = Wake::ready;
    waiting_for_ = 0;
    loop_.post(std::exchange(waiter_, nullptr));
}

void Socket::reset_on_close() {
    const linger cut{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &cut, sizeof cut);
}

}  // namespace tidepool::loop
