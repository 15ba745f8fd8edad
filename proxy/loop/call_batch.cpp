#include "proxy/loop/call_batch.h"

#include "conf/log.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <liburing.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tidepool::loop {

namespace {

// What the ring adds to each call is about what it spares for so few.
constexpr std::size_t kLeastForRing = 3;

constexpr std::int64_t kNotMade = INT64_MIN;

void list_pieces(SocketCall& call) {
    call.message = {};
    call.message.msg_iov = call.pieces.data();
    call.message.msg_iovlen = call.pieces.size();
}

// The system calls themselves: the library's recv(3) and send(3) are cancellation points, which in
// a program with threads costs two locked instructions a call; nothing here is ever cancelled.
// For one piece recvfrom(2) and sendto(2) spare the kernel the copying of a header and a list.
ssize_t call_kernel(SocketCall& call) {
    const bool is_send = call.kind == SocketCall::Kind::send;
    const int flags = call.flags | MSG_DONTWAIT;
    if (call.pieces.size() == 1) {
        const iovec& piece = call.pieces.front();
        return syscall(is_send ? SYS_sendto : SYS_recvfrom, call.fd, piece.iov_base, piece.iov_len,
                       flags, nullptr, nullptr);
    }
    list_pieces(call);
    return syscall(is_send ? SYS_sendmsg : SYS_recvmsg, call.fd, &call.message, flags);
}

void prepare(io_uring_sqe& entry, SocketCall& call) {
    const bool is_send = call.kind == SocketCall::Kind::send;
    const int flags = call.flags | MSG_DONTWAIT;
    if (call.pieces.size() == 1) {
        const iovec& piece = call.pieces.front();
        if (is_send) {
            io_uring_prep_send(&entry, call.fd, piece.iov_base, piece.iov_len, flags);
        } else {
            io_uring_prep_recv(&entry, call.fd, piece.iov_base, piece.iov_len, flags);
        }
    } else {
        list_pieces(call);
        if (is_send) {
            io_uring_prep_sendmsg(&entry, call.fd, &call.message, static_cast<unsigned>(flags));
        } else {
            io_uring_prep_recvmsg(&entry, call.fd, &call.message, static_cast<unsigned>(flags));
        }
    }
    io_uring_sqe_set_data(&entry, &call);
    call.result = kNotMade;
}

}  // namespace

void make_call(SocketCall& call) {
    const ssize_t result = call_kernel(call);
    call.result = result < 0 ? -errno : result;
}

void CallBatch::Closer::operator()(io_uring* ring) const {
    io_uring_queue_exit(ring);
    delete ring;  // NOLINT(cppcoreguidelines-owning-memory): this is its owner
}

CallBatch::CallBatch() = default;
CallBatch::~CallBatch() = default;

void CallBatch::open_ring() {
    auto ring = std::make_unique<io_uring>();
    // One thread uses it, which is not interrupted for it, and a call that cannot be prepared does
    // not stop those behind it. Linux has these from 6.1 on.
    const int opened = io_uring_queue_init(
        kMost, ring.get(),
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL);
    if (opened < 0) {
        conf::log_debug("socket calls are made one by one reason=\"{}\"", std::strerror(-opened));
        return;
    }
    ring_.reset(ring.release());
}

void CallBatch::make(std::span<SocketCall* const> calls) {
    while (!calls.empty()) {
        const auto now = calls.first(std::min<std::size_t>(calls.size(), kMost));
        calls = calls.subspan(now.size());
        if (now.size() >= kLeastForRing && has_ring()) {
            hand_over(now);
        } else {
            for (SocketCall* const call : now)
                make_call(*call);
        }
    }
}

void CallBatch::hand_over(std::span<SocketCall* const> calls) {
    for (SocketCall* const call : calls)
        prepare(*io_uring_get_sqe(ring_.get()), *call);  // never full: each go is taken whole
    const auto count = static_cast<unsigned>(calls.size());
    const int taken = io_uring_submit_and_wait(ring_.get(), count);
    unsigned head = 0;
    unsigned made = 0;
    io_uring_cqe* done = nullptr;
    io_uring_for_each_cqe(ring_.get(), head, done) {
        static_cast<SocketCall*>(io_uring_cqe_get_data(done))->result = done->res;
        ++made;
    }
    io_uring_cq_advance(ring_.get(), made);
    if (made < count) {
        conf::log_warn("socket calls are made one by one from now on reason=\"the ring: {}\"",
                       taken < 0 ? std::strerror(-taken) : "it took only some");
        ring_.reset();
    }
    for (std::size_t i = 0; i < calls.size(); ++i) {
        SocketCall& call = *calls[i];
        const bool was_taken = taken > 0 && i < static_cast<std::size_t>(taken);
        if (call.result == kNotMade && was_taken) {
            call.result = -EIO;  // which it should not be; but it must not be made twice
        } else if (call.result == kNotMade || call.result == -ENOMEM) {
            make_call(call);  // for want of the ring's memory, not of the socket's
        }
    }
}

}  // namespace tidepool::loop
