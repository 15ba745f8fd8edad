#include "proxy/loop/socket.h"

#include "proxy/loop/worker_pool.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <unistd.h>

using namespace tidepool::loop;

namespace {

// Two ends: ours for the loop, the peer's as a plain descriptor.
struct Pair {
    Pair() {
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) ==
                0);
    }
    ~Pair() {
        if (ends[1] >= 0) close(ends[1]);
    }
    void say(const std::string& text) {
        REQUIRE(write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    }
    void hang_up() { close(std::exchange(ends[1], -1)); }
    std::array<int, 2> ends{};
};

// Reads until the end as a connection does; notes what it got and how each wait ended.
Task<> read_all(Socket& socket, std::string& got, std::vector<Wake>& wakes) {
    std::array<char, 8> buffer{};
    while (true) {
        wakes.push_back(co_await socket.readable());
        if (wakes.back() != Wake::ready) co_return;
        const ssize_t count = recv(socket.fd(), buffer.data(), buffer.size(), 0);
        if (count == 0) co_return;
        if (count < 0) {
            socket.not_readable();
            continue;
        }
        got.append(buffer.data(), static_cast<std::size_t>(count));
        if (static_cast<std::size_t>(count) < buffer.size()) socket.drained();
    }
}

// Runs the task on a loop to its end.
void run(Loop& loop, Task<> task) {
    loop.tasks().spawn(std::move(task));
    loop.stop();
    loop.run();
}

}  // namespace

TEST_CASE("socket: bytes and the end that come together are both seen", "[loop][socket]") {
    Pair pair;
    Loop loop;
    {
        Socket socket(loop, pair.ends[0]);
        std::string got;
        std::vector<Wake> wakes;
        // The first wait is before anything has come, so that the kernel tells of both at once.
        loop.post([&] {
            pair.say("hello");
            pair.hang_up();
        });
        run(loop, read_all(socket, got, wakes));
        CHECK(got == "hello");
        CHECK(wakes.back() == Wake::ready);
    }
}

TEST_CASE("socket: what came before the first wait, in more reads than one", "[loop][socket]") {
    Pair pair;
    Loop loop;
    {
        Socket socket(loop, pair.ends[0]);
        const std::string text(1000, 'x');
        pair.say(text);
        pair.hang_up();
        std::string got;
        std::vector<Wake> wakes;
        run(loop, read_all(socket, got, wakes));
        CHECK(got == text);
    }
}

TEST_CASE("socket: bytes that come one after the other", "[loop][socket]") {
    Pair pair;
    Loop loop;
    {
        Socket socket(loop, pair.ends[0]);
        std::string got;
        std::vector<Wake> wakes;
        int rounds = 0;
        std::move_only_function<void()> more = [&] {
            pair.say(
                "12345678");  // exactly the reader's buffer: it cannot know that there is no more
            if (++rounds < 50) {
                loop.post([&] { more(); });
            } else {
                pair.hang_up();
            }
        };
        loop.post([&] { more(); });
        run(loop, read_all(socket, got, wakes));
        CHECK(got.size() == 400);
    }
}

TEST_CASE("socket: a deadline ends a wait, and also the next one where nobody waited",
          "[loop][socket]") {
    Pair pair;
    Loop loop;
    {
        Socket socket(loop, pair.ends[0]);
        std::string got;
        std::vector<Wake> wakes;
        socket.set_deadline(loop.now_ms() + 1);
        run(loop, read_all(socket, got, wakes));
        CHECK(wakes ==
              std::vector<Wake>{Wake::ready, Wake::timed_out});  // the first is the optimistic try

        wakes.clear();
        socket.set_deadline(loop.now_ms() + 1);
        const auto late = [&]() -> Task<> {
            co_await loop.delay(TimerWheel::kTickMs * 3);
            wakes.push_back(co_await socket.readable());
        };
        run(loop, late());
        CHECK(wakes == std::vector<Wake>{Wake::timed_out});

        wakes.clear();
        socket.set_deadline(loop.now_ms() + 60'000);  // moving it forgets that the old one passed
        loop.post([&] { pair.hang_up(); });
        run(loop, read_all(socket, got, wakes));
        CHECK(wakes == std::vector<Wake>{Wake::ready});
    }
}

TEST_CASE("socket: waits end when they are closed, now and later", "[loop][socket]") {
    Pair pair;
    Loop loop;
    {
        Socket socket(loop, pair.ends[0]);
        std::string got;
        std::vector<Wake> wakes;
        loop.post([&] { socket.close_waits(); });
        run(loop, read_all(socket, got, wakes));
        CHECK(wakes.back() == Wake::closed);
        wakes.clear();
        run(loop, read_all(socket, got, wakes));
        CHECK(wakes == std::vector<Wake>{Wake::closed});
    }
}

TEST_CASE("socket: room to write comes back", "[loop][socket]") {
    Pair pair;
    Loop loop;
    {
        Socket socket(loop, pair.ends[0]);
        const std::string block(4096, 'y');
        std::size_t sent = 0;
        std::size_t taken = 0;
        bool waited = false;
        const auto take = [&] {
            std::array<char, 65536> buffer{};
            for (ssize_t count = 0; (count = read(pair.ends[1], buffer.data(), buffer.size())) > 0;)
                taken += static_cast<std::size_t>(count);
        };
        const auto fill = [&]() -> Task<> {
            while (sent < 4'000'000) {
                const ssize_t count = send(socket.fd(), block.data(), block.size(), MSG_NOSIGNAL);
                if (count > 0) {
                    sent += static_cast<std::size_t>(count);
                    continue;
                }
                REQUIRE(errno == EAGAIN);
                socket.not_writable();
                waited = true;
                loop.post(take);
                const Wake wake = co_await socket.writable();
                REQUIRE(wake == Wake::ready);
            }
        };
        run(loop, fill());
        take();
        CHECK(waited);
        CHECK(taken == sent);
    }
}

namespace {

// What is received by the loop together with others.
struct Reader {
    Reader(Loop& loop, int fd) : socket(loop, fd) {}
    Receiver receiver() {
        return {[](void* self) {
                    ++static_cast<Reader*>(self)->asked;
                    return std::span<char>(static_cast<Reader*>(self)->buffer);
                },
                this};
    }
    Socket socket;
    std::array<char, 8> buffer{};
    int asked = 0;
    std::string got;
    std::vector<Wake> wakes;
    std::vector<std::int64_t> results;
};

// Until the end, an error, or a wait that ended otherwise.
Task<> receive_all(Reader& reader, std::function<void()> after_each = [] {}) {
    while (true) {
        reader.wakes.push_back(co_await reader.socket.receivable(reader.receiver()));
        if (reader.wakes.back() != Wake::ready) co_return;
        std::int64_t result = 0;
        if (const auto received = reader.socket.take_received()) {
            result = *received;
            reader.results.push_back(result);
        } else {
            const ssize_t count =
                recv(reader.socket.fd(), reader.buffer.data(), reader.buffer.size(), 0);
            result = count < 0 ? -errno : count;
        }
        if (result == -EAGAIN) {
            reader.socket.not_readable();
            continue;
        }
        if (result <= 0) co_return;
        reader.got.append(reader.buffer.data(), static_cast<std::size_t>(result));
        after_each();
        if (static_cast<std::size_t>(result) < reader.buffer.size()) reader.socket.drained();
    }
}

// So many times, together with what others have to say then.
Task<> say(Loop& loop, int fd, std::string text, int times) {
    for (int i = 0; i < times; ++i) {
        iovec piece{text.data(), text.size()};
        SocketCall call{.kind = SocketCall::Kind::send, .fd = fd, .pieces = {&piece, 1}};
        co_await loop.make(call);
        CHECK(call.result == static_cast<std::int64_t>(text.size()));
    }
}

}  // namespace

TEST_CASE("socket: what comes for many at once is received for each of them", "[loop][socket]") {
    for (const bool with_ring : {false, true}) {
        constexpr std::size_t kSockets = 150;
        CAPTURE(with_ring);
        std::deque<Pair> pairs(kSockets);
        Loop loop;
        if (with_ring) loop.open_ring();
        std::deque<Reader> readers;
        for (const Pair& pair : pairs)
            readers.emplace_back(loop, pair.ends[0]);
        for (Reader& reader : readers)
            loop.tasks().spawn(receive_all(reader));
        const auto talk = [](Loop& on, std::deque<Pair>& to, std::deque<Reader>& all) -> Task<> {
            co_await on.yield();  // until all wait
            for (const Reader& reader : all)
                CHECK(reader.asked == 0);
            for (std::size_t i = 0; i < to.size(); ++i)
                to[i].say("to " + std::to_string(i));
            while (all.back().got.empty())
                co_await on.yield();
            for (std::size_t i = 0; i < to.size(); ++i) {
                to[i].say(", which is more than one piece to " + std::to_string(i));
                to[i].hang_up();
            }
        };
        run(loop, talk(loop, pairs, readers));
        for (std::size_t i = 0; i < kSockets; ++i) {
            const std::string number = std::to_string(i);
            CHECK(readers[i].got == "to " + number + ", which is more than one piece to " + number);
            CHECK(readers[i].wakes.back() == Wake::ready);
            REQUIRE_FALSE(readers[i].results.empty());
            CHECK(readers[i].results.front() == static_cast<std::int64_t>(3 + number.size()));
        }
    }
}

TEST_CASE("socket: one that receives may end the waits of others it receives with",
          "[loop][socket]") {
    std::deque<Pair> pairs(10);
    Loop loop;
    loop.open_ring();
    std::deque<Reader> readers;
    for (const Pair& pair : pairs)
        readers.emplace_back(loop, pair.ends[0]);
    for (Reader& reader : readers)
        loop.tasks().spawn(receive_all(reader, [&] {
            for (Reader& other : readers)
                other.socket.close_waits();
        }));
    loop.post([&] {
        for (Pair& pair : pairs)
            pair.say("hello");
    });
    loop.stop();
    loop.run();
    std::size_t with_text = 0;
    for (const Reader& reader : readers) {
        CHECK(reader.wakes.back() == Wake::closed);
        if (!reader.got.empty()) ++with_text;
    }
    CHECK(with_text == 1);
}

TEST_CASE("socket: a deadline passes while nothing is received", "[loop][socket]") {
    Pair pair;
    Loop loop;
    Reader reader(loop, pair.ends[0]);
    const auto work = [](Loop& on, Reader& by) -> Task<> {
        by.socket.not_readable();
        by.socket.set_deadline(on.now_ms() + 1);
        co_await receive_all(by);
    };
    run(loop, work(loop, reader));
    CHECK(reader.wakes == std::vector{Wake::timed_out});
    CHECK(reader.asked == 0);
}

TEST_CASE("loop: calls of many are made at once, and more behind them", "[loop][batch]") {
    for (const bool with_ring : {false, true}) {
        constexpr std::size_t kSockets = 150;
        CAPTURE(with_ring);
        std::deque<Pair> pairs(kSockets);
        Loop loop;
        if (with_ring) loop.open_ring();
        for (std::size_t i = 0; i < kSockets; ++i)
            loop.tasks().spawn(say(loop, pairs[i].ends[0], std::to_string(i), 3));
        loop.stop();
        loop.run();
        for (std::size_t i = 0; i < kSockets; ++i) {
            std::array<char, 20> got{};
            const ssize_t count = read(pairs[i].ends[1], got.data(), got.size());
            const std::string number = std::to_string(i);
            CHECK(std::string(got.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))) ==
                  number + number + number);
            close(pairs[i].ends[0]);
        }
    }
}

TEST_CASE("loop: what is gathered behind others' is not left until something happens",
          "[loop][batch]") {
    constexpr int kCalls = 200;
    Pair pair;
    Loop loop;
    loop.open_ring();
    const std::uint64_t begun_ns = Loop::clock_ns();
    run(loop, say(loop, pair.ends[0], "x", kCalls));
    // Else two would be made each time that the clock ticks: half of this many ticks.
    CHECK(Loop::clock_ns() - begun_ns < kCalls * TimerWheel::kTickMs * 1'000'000 / 10);
    close(pair.ends[0]);
}

TEST_CASE("loop: what posted work has to send waits for 64 others at most", "[loop][batch]") {
    constexpr std::size_t kSockets = 2 * CallBatch::kMost;
    std::deque<Pair> pairs(kSockets);
    Loop loop;
    std::optional<std::size_t> sent_early;  // before the last of the work was run
    const auto has_come = [](const Pair& pair) {
        char got = 0;
        return recv(pair.ends[1], &got, 1, MSG_DONTWAIT | MSG_PEEK) == 1;
    };
    for (const Pair& pair : pairs)
        loop.post([&loop, fd = pair.ends[0]] { loop.tasks().spawn(say(loop, fd, "x", 1)); });
    loop.post(
        [&] { sent_early = static_cast<std::size_t>(std::ranges::count_if(pairs, has_come)); });
    const auto wait = [&]() -> Task<> {
        while (!sent_early)
            co_await loop.yield();
    };
    run(loop, wait());
    CHECK(sent_early == kSockets);
    for (const Pair& pair : pairs)
        close(pair.ends[0]);
}

TEST_CASE("loop: what is to be sent does not wait for who stands back", "[loop][batch]") {
    Pair pair;
    Loop loop;
    std::optional<bool> was_sent;
    const auto stand_back = [](Loop& on, int fd, std::optional<bool>& sent) -> Task<> {
        co_await on.stand_back();
        char got = 0;
        sent = recv(fd, &got, 1, MSG_DONTWAIT) == 1;
    };
    loop.post([&] {
        loop.tasks().spawn(say(loop, pair.ends[0], "x", 1));
        loop.tasks().spawn(stand_back(loop, pair.ends[1], was_sent));
    });
    const auto wait = [&]() -> Task<> {
        while (!was_sent)
            co_await loop.yield();
    };
    run(loop, wait());
    CHECK(was_sent == true);
    close(pair.ends[0]);
}
