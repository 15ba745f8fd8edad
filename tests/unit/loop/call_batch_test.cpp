#include "proxy/loop/call_batch.h"

#include <array>
#include <cerrno>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <unistd.h>

using namespace tidepool::loop;

namespace {

// Two ends that wait, as far as their mode goes.
struct Pair {
    Pair() { REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0); }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    ~Pair() {
        for (const int end : ends) {
            if (end >= 0) close(end);
        }
    }
    void hang_up() { close(std::exchange(ends[1], -1)); }
    std::string take() {
        std::array<char, 4096> buffer{};
        const ssize_t got = recv(ends[1], buffer.data(), buffer.size(), MSG_DONTWAIT);
        return {buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
    }
    std::array<int, 2> ends{};
};

// A call together with what it names.
struct Prepared {
    Prepared(SocketCall::Kind kind, int fd, std::vector<std::string> texts)
        : texts_(std::move(texts)) {
        for (std::string& text : texts_)
            pieces_.push_back({text.data(), text.size()});
        call = {.kind = kind, .fd = fd, .pieces = pieces_, .flags = 0};
        if (kind == SocketCall::Kind::send) call.flags = MSG_NOSIGNAL;
    }
    // Of the first piece.
    std::string received() const {
        return texts_.front().substr(0, static_cast<std::size_t>(call.result));
    }
    SocketCall call;

  private:
    std::vector<std::string> texts_;
    std::vector<iovec> pieces_;
};

class Calls {
  public:
    Prepared& add(SocketCall::Kind kind, int fd, std::vector<std::string> texts) {
        return all_.emplace_back(kind, fd, std::move(texts));
    }
    void make(CallBatch& batch) {
        std::vector<SocketCall*> calls;
        for (Prepared& one : all_)
            calls.push_back(&one.call);
        batch.make(calls);
    }
    const Prepared& operator[](std::size_t index) const { return all_[index]; }

  private:
    std::deque<Prepared> all_;
};

constexpr auto kSend = SocketCall::Kind::send;
constexpr auto kReceive = SocketCall::Kind::receive;

// Both ways of making calls; the second is the same as the first where the kernel has no ring.
void by_each_way(const std::function<void(CallBatch&)>& check) {
    for (const bool with_ring : {false, true}) {
        CallBatch batch;
        if (with_ring) batch.open_ring();
        if (with_ring && !batch.has_ring()) WARN("the kernel offers no ring here");
        const bool had_ring = batch.has_ring();
        CAPTURE(had_ring);
        check(batch);
        CHECK(batch.has_ring() == had_ring);
    }
}

}  // namespace

TEST_CASE("call batch: any number of calls, each with its own result", "[loop][batch]") {
    for (const std::size_t count : {0U, 1U, 2U, 3U, 64U, 65U, 200U}) {
        CAPTURE(count);
        by_each_way([&](CallBatch& batch) {
            std::deque<Pair> pairs(count);
            for (int round = 0; round < 3; ++round) {
                Calls sends;
                for (std::size_t i = 0; i < count; ++i) {
                    std::vector<std::string> texts{std::to_string(i)};
                    if (i % 2 == 1) texts.insert(texts.end(), {" and ", "more"});
                    sends.add(kSend, pairs[i].ends[0], std::move(texts));
                }
                sends.make(batch);
                for (std::size_t i = 0; i < count; ++i) {
                    const std::string text = std::to_string(i) + (i % 2 == 1 ? " and more" : "");
                    CHECK(sends[i].call.result == static_cast<std::int64_t>(text.size()));
                    CHECK(pairs[i].take() == text);
                    REQUIRE(send(pairs[i].ends[1], text.data(), text.size(), 0) > 0);
                }
                Calls receives;
                for (std::size_t i = 0; i < count; ++i)
                    receives.add(kReceive, pairs[i].ends[0],
                                 {std::string(i % 3 == 0 ? 2 : 100, 0)});
                receives.make(batch);
                for (std::size_t i = 0; i < count; ++i) {
                    const std::string text = std::to_string(i) + (i % 2 == 1 ? " and more" : "");
                    CHECK(receives[i].received() == text.substr(0, i % 3 == 0 ? 2 : 100));
                    char left_over = 0;
                    while (recv(pairs[i].ends[0], &left_over, 1, MSG_DONTWAIT) > 0) {
                    }
                }
            }
        });
    }
}

TEST_CASE("call batch: what cannot be done now is said, and nothing waits for it",
          "[loop][batch]") {
    by_each_way([&](CallBatch& batch) {
        Pair empty;
        Pair ended;
        Pair full;
        Pair good;
        ended.hang_up();
        std::string much(1 << 20, 'x');
        while (send(full.ends[0], much.data(), much.size(), MSG_DONTWAIT) > 0) {
        }
        Calls calls;
        calls.add(kReceive, empty.ends[0], {"12345"});
        calls.add(kReceive, ended.ends[0], {"12345"});
        calls.add(kSend, ended.ends[0], {"one"});
        calls.add(kSend, ended.ends[0], {"two", "pieces"});
        calls.add(kSend, full.ends[0], {"one"});
        calls.add(kSend, full.ends[0], {"two", "pieces"});
        calls.add(kSend, -1, {"nowhere"});
        calls.add(kSend, good.ends[0], {std::string(much)});
        calls.make(batch);
        CHECK(calls[0].call.result == -EAGAIN);
        CHECK(calls[1].call.result == 0);
        CHECK(calls[2].call.result == -EPIPE);
        CHECK(calls[3].call.result == -EPIPE);
        CHECK(calls[4].call.result == -EAGAIN);
        CHECK(calls[5].call.result == -EAGAIN);
        CHECK(calls[6].call.result == -EBADF);
        CHECK(calls[7].call.result > 0);
        CHECK(calls[7].call.result < static_cast<std::int64_t>(much.size()));
    });
}

TEST_CASE("call batch: a ring that refuses is given up, and nothing is lost or doubled",
          "[loop][batch]") {
    CallBatch batch;
    std::thread([&] { batch.open_ring(); }).join();  // it is that thread's
    if (!batch.has_ring()) {
        WARN("the kernel offers no ring here");
        return;
    }
    for (int round = 0; round < 2; ++round) {
        std::deque<Pair> pairs(10);
        Calls calls;
        for (const Pair& pair : pairs)
            calls.add(kSend, pair.ends[0], {"once"});
        calls.make(batch);
        CHECK_FALSE(batch.has_ring());
        for (std::size_t i = 0; i < pairs.size(); ++i) {
            CHECK(calls[i].call.result == 4);
            CHECK(pairs[i].take() == "once");
        }
    }
}
