#include "proxy/serve/fill.h"

#include "proxy/serve/fill_reader.h"
#include "tests/support/folder.h"
#include "tests/support/stub_origin.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <latch>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <sys/resource.h>

using namespace tidepool;
using namespace tidepool::serve;
using namespace std::chrono_literals;
using loop::Task;
using storage::Breaker;
using storage::Outcome;
using test::StubOrigin;
using Line = StubOrigin::Line;
using Request = StubOrigin::Request;

namespace {

constexpr std::uint64_t kBuffer = 64ULL * 1024;
constexpr std::size_t kSmall = 50'000;           // is proved before anybody sees it
constexpr std::size_t kLarge = 1'000'000;        // is streamed
constexpr std::size_t kHuge = 24'000'000;        // more than the kernel holds between two sockets
constexpr std::uint64_t kSoonMs = 15'000;        // less than any time limit below
constexpr std::uint64_t kBeforeRetryMs = 1'900;  // less than the wait for a retry
constexpr std::uint64_t kBusyLookMs = 1;

// An object as its store has it.
struct Stored {
    std::string body;
    std::string etag = "v1";

    struct Part {
        std::size_t first = 0;
        std::size_t end = 0;
    };
    Part part_of(const Request& request) const {
        const std::string range = request.field("range");  // "bytes=5-9" or ""
        if (range.empty()) return {0, body.size()};
        Part part;
        const std::size_t dash = range.find('-');
        std::from_chars(range.data() + 6, range.data() + dash, part.first);
        std::from_chars(range.data() + dash + 1, range.data() + range.size(), part.end);
        ++part.end;
        return part;
    }
    std::string head(const Request& request) const {
        const auto [first, end] = part_of(request);
        if (end - first == body.size())
            return fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: \"{}\"\r\n\r\n",
                               body.size(), etag);
        return fmt::format(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes "
            "{}-{}/{}\r\nETag: \"{}\"\r\n\r\n",
            end - first, first, end - 1, body.size(), etag);
    }
    std::string_view bytes(const Request& request) const {
        const auto [first, end] = part_of(request);
        return std::string_view(body).substr(first, end - first);
    }
    void answer(const Request& request, Line& line) const {
        line.say(head(request));
        line.say(bytes(request));
    }
    // Ends the connection after so many bytes of the body.
    void answer_cut(const Request& request, Line& line, std::size_t after) const {
        line.say(head(request));
        line.say(bytes(request).substr(0, after));
        line.cut();
    }
};

// One loop's part of the server.
struct Side {
    loop::Loop loop;
    http::Fetcher fetcher{loop, 8};
    void run() {
        loop.stop();  // when all tasks have ended
        loop.run();
    }
};

// What a reader had.
struct Got {
    std::string bytes;
    std::optional<Error> error;
    bool is(ErrorKind kind) const { return error && error->kind == kind; }
};

// Two loops, a bucket with one object, and perhaps a shelf.
class Ground {
  public:
    Ground(const Stored& stored, StubOrigin::Script script, bool with_shelf = false)
        : origin(std::move(script)) {
        auto known = std::make_shared<RemoteObject>();
        known->key = "a.jpg";
        known->size = stored.body.size();
        object = std::move(known);
        settings.buffer_bytes = kBuffer;
        settings.first_byte_timeout = 20s;
        settings.stall_timeout = 20s;
        pool_settings.name = "cold";
        pool_settings.storage_type = conf::PoolSettings::Type::s3;
        pool_settings.access_key_id = conf::Secret("", "keyid");
        pool_settings.secret_access_key = conf::Secret("env:S", "TOPSECRET");
        pool_settings.region = "us-west-001";
        pool_settings.bucket = "bucket";
        pool_settings.endpoint_url = origin.url("");
        if (!with_shelf) return;
        auto opened = storage::Shelf::open(
            {.path = folder_.path("shelf"), .size_bytes = 100'000'000, .min_free_bytes = 0});
        REQUIRE(opened);
        shelf = std::move(*opened);
    }
    // Answers every request in full.
    explicit Ground(const Stored& stored, bool with_shelf = false)
        : Ground(
              stored,
              [&stored](const Request& request, Line& line) { stored.answer(request, line); },
              with_shelf) {}

    Stretch whole() const { return {0, object->size}; }
    std::shared_ptr<Fill> make_fill() { return make_fill(whole(), std::nullopt); }
    std::shared_ptr<Fill> make_fill(Stretch stretch, std::optional<std::uint64_t> slice,
                                    std::shared_ptr<const Fill::Beginning> beginning = nullptr) {
        if (!pool_) pool_ = std::make_shared<RemotePool>(pool_settings);
        auto known = std::make_shared<RemoteObject>(*object);
        known->pool = pool_;
        Fill::Means means{.loop = first.loop,
                          .fetcher = first.fetcher,
                          .settings = settings,
                          .shelf = beginning ? nullptr : shelf.get(),
                          .shelf_workers = &workers_};
        return std::make_shared<Fill>(
            std::move(means), std::move(known), stretch, slice,
            [this](FillEnd end) { ends.push_back(std::move(end)); }, std::move(beginning));
    }
    RemotePool& pool() { return *pool_; }
    Breaker& breaker() { return pool_->gate.reads; }
    std::uint64_t calls_used() {
        return pool_->gate.budget.use(first.loop.wall_s())
            .used[static_cast<int>(storage::CallClass::b)];
    }
    std::uint64_t egress_used() {
        return pool_->gate.budget.use(first.loop.wall_s()).used[storage::kEgressItem];
    }

    // Until all tasks of both loops have ended.
    void run() {
        std::thread other([this] { second.run(); });
        first.run();
        other.join();
    }
    // One reader of all that one fill has.
    Got fetch() { return fetch(whole(), std::nullopt); }
    Got fetch(Stretch stretch, std::optional<std::uint64_t> slice);

    // The breaker becomes open, for five seconds that began so long ago.
    void open_breaker(std::chrono::milliseconds ago) {
        if (!pool_) pool_ = std::make_shared<RemotePool>(pool_settings);
        for (int i = 0; i < 20; ++i)
            breaker().report(Outcome::failed, std::chrono::steady_clock::now() - ago);
        REQUIRE(breaker().times_opened() == 1);
    }
    // True where the store has still to be tried out, and nobody does.
    bool probe_is_free() {
        const auto now = std::chrono::steady_clock::now();
        return breaker().state(now) == Breaker::State::half_open && breaker().allow(now);
    }

    StubOrigin origin;
    conf::OriginSettings settings;
    conf::PoolSettings pool_settings;
    std::shared_ptr<RemoteObject> object;  // as new fills know it
    std::unique_ptr<storage::Shelf> shelf;

  private:
    test::Folder folder_;
    std::shared_ptr<RemotePool> pool_;
    loop::WorkerPool workers_{"shelf", 2, 1'000};

  public:
    Side first;  // that fetches
    Side second;
    std::vector<FillEnd> ends;
};

// Reads [offset, end) as an answer does.
Task<> read(FillReader& reader, std::uint64_t offset, std::uint64_t end, Got& got) {
    while (offset < end && !got.error) {
        const auto view = reader.look(offset);
        if (view.bytes == 0) {
            auto error = co_await reader.wait(offset);
            got.error = std::move(error);
            continue;
        }
        const auto count = static_cast<std::size_t>(std::min(view.bytes, end - offset));
        if (view.file == nullptr) {
            got.bytes += view.text.substr(0, count);
        } else {
            std::string bytes(count, '\0');
            if (const auto done = view.file->read(view.file_offset, bytes); !done) {
                got.error = done.error();
                continue;
            }
            got.bytes += bytes;
        }
        offset += count;
    }
}

// An answer: it leaves when it has all.
Task<> read_all(std::shared_ptr<FillReader> reader, Stretch stretch, Got& got) {
    co_await read(*reader, stretch.offset, stretch.end(), got);
}

Task<> until(loop::Loop& loop, std::function<bool()> condition) {
    while (!condition())
        co_await loop.delay(kBusyLookMs);
}

Got Ground::fetch(Stretch stretch, std::optional<std::uint64_t> slice) {
    Got got;
    const auto fill = make_fill(stretch, slice);
    first.loop.tasks().spawn(read_all(fill->join(first.loop, stretch.offset), stretch, got));
    fill->launch();
    first.run();
    return got;
}

// One fetch of a whole object of which readers see all or nothing.
void check_whole(const Got& got, const Stored& stored) {
    CHECK_FALSE(got.error);
    CHECK((got.bytes == stored.body));
}

}  // namespace

// ---- who gets what

TEST_CASE("fill: one reader gets the whole object", "[serve][fill]") {
    for (const std::size_t size : {std::size_t{1}, kSmall, kLarge}) {
        for (const bool with_shelf : {false, true}) {
            CAPTURE(size, with_shelf);
            const Stored stored{test::pattern(size)};
            Ground ground(stored, with_shelf);
            ground.object->sha256 = conf::sha256(stored.body);
            check_whole(ground.fetch(), stored);
            REQUIRE(ground.ends.size() == 1);
            CHECK_FALSE(ground.ends[0].error);
            CHECK(ground.ends[0].sha256 == conf::sha256(stored.body));
            if (size == 1 && !with_shelf) {
                REQUIRE(ground.ends[0].body);
                CHECK(*ground.ends[0].body == stored.body);
            }
            CHECK(ground.pool().fetches == 1);
            CHECK(ground.pool().failures == 0);
            CHECK(ground.pool().bytes == size);
            CHECK(ground.calls_used() == 1);
            CHECK(ground.origin.requests()[0].field("range").empty());
            CHECK(ground.origin.requests()[0].field("if-match").empty());
        }
    }
}

TEST_CASE("fill: a part is asked for as it is", "[serve][fill]") {
    const Stored stored{test::pattern(kLarge)};
    for (const bool with_shelf : {false, true}) {
        CAPTURE(with_shelf);
        Ground ground(stored, with_shelf);
        const Stretch stretch{300'000, 200'000};
        const Got got = ground.fetch(stretch, with_shelf ? std::optional(1) : std::nullopt);
        CHECK_FALSE(got.error);
        CHECK((got.bytes == stored.body.substr(300'000, 200'000)));
        CHECK(ground.origin.requests()[0].field("range") == "bytes=300000-499999");
        REQUIRE(ground.ends.size() == 1);
        CHECK_FALSE(ground.ends[0].sha256);
        CHECK_FALSE(ground.ends[0].body);
        if (!with_shelf) continue;
        const storage::ShelfName name("cold", "a.jpg", ground.object->version(), 1, 200'000);
        CHECK(ground.shelf->holds(name));
    }
}

namespace {

// As many readers of the whole object as there are places for what they get.
void read_on_both_loops(Ground& ground, Fill& fill, std::span<Got> got) {
    for (std::size_t i = 0; i < got.size(); ++i) {
        loop::Loop& loop = (i % 2 == 0 ? ground.first : ground.second).loop;
        loop.tasks().spawn(read_all(fill.join(loop, 0), ground.whole(), got[i]));
    }
    fill.launch();
    ground.run();
}

}  // namespace

TEST_CASE("fill: many readers on two loops share one fetch", "[serve][fill]") {
    for (const std::size_t size : {kSmall, kLarge}) {
        for (const bool with_shelf : {false, true}) {
            CAPTURE(size, with_shelf);
            const Stored stored{test::pattern(size)};
            Ground ground(stored, with_shelf);
            const auto fill = ground.make_fill();
            std::array<Got, 12> got;
            read_on_both_loops(ground, *fill, got);
            for (const Got& each : got) {
                CHECK((each.bytes == stored.body.substr(0, each.bytes.size())));
                // From memory one may be left behind by the others.
                const bool left_behind = size > kBuffer && !with_shelf && each.error;
                if (left_behind) CHECK(each.is(ErrorKind::overloaded));
                if (!left_behind) check_whole(each, stored);
            }
            CHECK(ground.origin.request_count() == 1);
        }
    }
}

TEST_CASE("fill: readers on two loops, over an origin that breaks again and again",
          "[serve][fill]") {
    const Stored stored{test::pattern(kLarge)};
    for (const bool with_shelf : {false, true}) {
        CAPTURE(with_shelf);
        Ground ground(
            stored,
            [&](const Request& request, Line& line) {
                stored.answer_cut(request, line, 230'000 + request.number * 1'000);
            },
            with_shelf);
        ground.settings.tries = 20;
        ground.object->sha256 = conf::sha256(stored.body);
        const auto fill = ground.make_fill();
        std::array<Got, 8> got;
        read_on_both_loops(ground, *fill, got);
        for (const Got& each : got) {
            CHECK((each.bytes == stored.body.substr(0, each.bytes.size())));
            if (with_shelf) check_whole(each, stored);
            CHECK((!each.error || each.is(ErrorKind::overloaded)));
        }
        CHECK(ground.pool().resumed + 1 == ground.pool().fetches);
        CHECK(ground.pool().corrupt == 0);
    }
}

TEST_CASE("fill: who joins late gets all of it, or is told that it is too late", "[serve][fill]") {
    const Stored stored{test::pattern(kLarge)};
    for (const bool with_shelf : {false, true}) {
        CAPTURE(with_shelf);
        std::latch joined(1);
        Ground ground(
            stored,
            [&](const Request& request, Line& line) {
                line.say(stored.head(request));
                line.say(stored.bytes(request).substr(0, 40'000));
                joined.wait();
                line.say(stored.bytes(request).substr(40'000));
            },
            with_shelf);
        const auto fill = ground.make_fill();
        Got early;
        Got late;
        Got too_late;
        bool was_too_late = false;
        std::atomic<bool> is_late = false;
        const auto read_early = [&](std::shared_ptr<FillReader> reader) -> Task<> {
            co_await read(*reader, 0, 30'000, early);
            is_late = true;
            co_await read(*reader, 30'000, 500'000, early);
            // Of what came there is no more than the buffer; what is on the disk stays.
            auto last = fill->join(ground.first.loop, 0);
            was_too_late = last == nullptr;
            if (last) co_await read_all(std::move(last), ground.whole(), too_late);
            co_await read(*reader, 500'000, kLarge, early);
        };
        const auto read_late = [&]() -> Task<> {
            co_await until(ground.second.loop, [&] { return is_late.load(); });
            auto reader = fill->join(ground.second.loop, 0);
            joined.count_down();
            if (reader) co_await read_all(std::move(reader), ground.whole(), late);
        };
        ground.first.loop.tasks().spawn(read_early(fill->join(ground.first.loop, 0)));
        ground.second.loop.tasks().spawn(read_late());
        fill->launch();
        ground.run();
        CHECK(was_too_late == !with_shelf);
        if (with_shelf) check_whole(too_late, stored);
        // Without a shelf whoever is slow is left behind: one of them, whichever has less of the
        // processor.
        CHECK((!early.error || !late.error));
        for (const Got* got : {&early, &late}) {
            if (!got->error) check_whole(*got, stored);
            if (got->error) CHECK((got->is(ErrorKind::overloaded) && !with_shelf));
        }
        CHECK(fill->join(ground.first.loop, 0) == nullptr);  // it has ended
        CHECK(ground.origin.request_count() == 1);
    }
}

// ---- who waits for whom

TEST_CASE("fill: without a shelf a slow reader makes the origin wait", "[serve][fill]") {
    const Stored stored{test::pattern(kHuge)};
    Ground ground(stored);
    ground.settings.stall_timeout = 300ms;  // which this wait is none of
    const auto fill = ground.make_fill();
    Got got;
    std::size_t said = 0;
    std::uint64_t came = 0;
    const auto slow = [&](std::shared_ptr<FillReader> reader) -> Task<> {
        co_await read(*reader, 0, 1'000, got);
        // Until it says no more: what it would say on and on would be all, in the end.
        std::size_t said_before = 0;
        do {
            said_before = said;
            co_await ground.first.loop.delay(600);
            said = ground.origin.bytes_said();
        } while (said != said_before);
        came = ground.pool().bytes;
        co_await read(*reader, 1'000, kHuge, got);
    };
    ground.first.loop.tasks().spawn(slow(fill->join(ground.first.loop, 0)));
    fill->launch();
    ground.run();
    CHECK(said < kHuge / 2);
    CHECK(came < 3 * kBuffer);
    check_whole(got, stored);
    CHECK(ground.origin.request_count() == 1);
}

TEST_CASE("fill: a fast reader waits for a slow one no longer than the buffer lasts",
          "[serve][fill]") {
    for (const bool with_shelf : {false, true}) {
        for (const std::size_t size : {kSmall, 5 * kLarge}) {
            CAPTURE(with_shelf, size);
            const Stored stored{test::pattern(size)};
            Ground ground(stored, with_shelf);
            const auto fill = ground.make_fill();
            Got fast;
            Got slow;
            std::atomic<bool> is_done = false;
            const auto read_fast = [&](std::shared_ptr<FillReader> reader) -> Task<> {
                co_await read_all(std::move(reader), ground.whole(), fast);
                is_done = true;
            };
            const auto read_slow = [&](std::shared_ptr<FillReader> reader) -> Task<> {
                co_await read(*reader, 0, 10, slow);
                co_await until(ground.second.loop, [&] { return is_done.load(); });
                co_await read(*reader, 10, size, slow);
            };
            ground.first.loop.tasks().spawn(read_fast(fill->join(ground.first.loop, 0)));
            ground.second.loop.tasks().spawn(read_slow(fill->join(ground.second.loop, 0)));
            fill->launch();
            ground.run();
            check_whole(fast, stored);
            if (with_shelf || size == kSmall) {
                check_whole(slow, stored);
            } else {
                // It fetches the rest on its own.
                REQUIRE(slow.is(ErrorKind::overloaded));
                CHECK_FALSE(slow.error->store);
                CHECK((slow.bytes == stored.body.substr(0, slow.bytes.size())));
            }
        }
    }
}

// ---- who is left behind

namespace {

constexpr std::uint64_t kTaken = 10'000;      // by the slow reader, of each fetch that it loses
constexpr std::uint64_t kMuchMore = 400'000;  // by the fast one: more than fill and fetch hold

// The slow reader's way through `stretch` of the object.
struct Slow {
    Got got;
    std::uint64_t offset = 0;
    std::shared_ptr<const Fill::Beginning> beginning;
};

// A fast reader leaves the slow one behind and leaves then itself, so that the fetch is given up.
Task<> lose_fetch(Ground& ground, Fill& fill, Stretch stretch, Slow& slow) {
    loop::Loop& loop = ground.first.loop;
    const std::uint64_t offset = slow.offset;
    auto reader = fill.join(loop, offset);
    auto fast = fill.join(loop, offset);
    fill.launch();
    const std::size_t had = slow.got.bytes.size();
    co_await read(*reader, offset, offset + kTaken, slow.got);
    Got much;
    co_await read(*fast, offset, offset + kMuchMore, much);
    CHECK_FALSE(much.error);
    co_await read(*reader, offset + kTaken, stretch.end(), slow.got);
    CHECK(slow.got.is(ErrorKind::overloaded));
    if (!slow.got.is(ErrorKind::overloaded)) co_return;
    slow.got.error.reset();
    slow.offset = offset + slow.got.bytes.size() - had;
    slow.beginning = reader->beginning(slow.offset);
}

// As Origin does it: what it was left behind with, by a fetch of the rest, and so on.
Task<> read_although_left_behind(Ground& ground, Stretch stretch, std::size_t times, Slow& slow) {
    slow.offset = stretch.offset;
    for (std::size_t i = 0; i <= times; ++i) {
        const Stretch rest{slow.offset, stretch.end() - slow.offset};
        const auto fill = ground.make_fill(rest, std::nullopt, slow.beginning);
        if (i < times) {
            co_await lose_fetch(ground, *fill, stretch, slow);
            if (slow.got.error) co_return;
            continue;
        }
        const auto reader = fill->join(ground.first.loop, slow.offset);
        fill->launch();
        co_await read(*reader, slow.offset, stretch.end(), slow.got);
    }
}

Got get_although_left_behind(Ground& ground, Stretch stretch, std::size_t times) {
    Slow slow;
    ground.first.loop.tasks().spawn(read_although_left_behind(ground, stretch, times, slow));
    ground.first.run();
    return slow.got;
}

}  // namespace

TEST_CASE("fill: who was left behind gets the whole, proved, though its fetches were given up",
          "[serve][fill]") {
    const std::string body = test::pattern(kLarge);
    enum class Known : std::uint8_t { sha256, md5, nothing };
    for (const std::size_t times : {1UL, 2UL}) {
        for (const Known known : {Known::sha256, Known::md5, Known::nothing}) {
            CAPTURE(times, static_cast<int>(known));
            const Stored stored{body, known == Known::md5 ? conf::hex(conf::md5(body)) : "v1"};
            Ground ground(stored);
            if (known == Known::sha256) ground.object->sha256 = conf::sha256(body);
            if (known == Known::md5) ground.object->store_etag = stored.etag;
            check_whole(get_although_left_behind(ground, ground.whole(), times), stored);
            REQUIRE(ground.ends.size() == times + 1);
            for (std::size_t i = 0; i < times; ++i)
                CHECK((ground.ends[i].error && ground.ends[i].error->kind == ErrorKind::closed));
            CHECK_FALSE(ground.ends[times].error);
            CHECK(ground.ends[times].sha256.has_value() == (known != Known::nothing));
            const auto requests = ground.origin.requests();
            REQUIRE(requests.size() == times + 1);
            CHECK(requests[0].field("if-match").empty());
            CHECK(requests[times].field("if-match") == fmt::format("\"{}\"", stored.etag));
            CHECK(requests[times].field("range").starts_with("bytes="));
            CHECK(ground.pool().corrupt == 0);
        }
    }
}

TEST_CASE("fill: who was left behind goes on in pieces of any size", "[serve][fill]") {
    const Stored stored{test::pattern(kLarge)};
    for (const std::size_t said_at_once : {777UL, 5'000UL, 30'000UL}) {
        CAPTURE(said_at_once);
        Ground ground(stored, [&](const Request& request, Line& line) {
            line.say(stored.head(request));
            std::string_view left = stored.bytes(request);
            while (!left.empty()) {
                line.say(left.substr(0, said_at_once));
                left.remove_prefix(std::min(said_at_once, left.size()));
            }
        });
        ground.object->sha256 = conf::sha256(stored.body);
        check_whole(get_although_left_behind(ground, ground.whole(), 2), stored);
    }
}

TEST_CASE("fill: who was left behind never has wrong bytes as a whole", "[serve][fill]") {
    const std::string body = test::pattern(kLarge);
    const Stored stored{body, conf::hex(conf::md5(body))};
    for (const std::size_t times : {1UL, 2UL}) {
        for (std::size_t wrong_one = 0; wrong_one <= times; ++wrong_one) {
            for (const bool by_md5 : {false, true}) {
                CAPTURE(times, wrong_one, by_md5);
                Ground ground(stored, [&](const Request& request, Line& line) {
                    Stored said = stored;
                    // One byte, that this fetch's reader has before it loses it.
                    if (request.number == wrong_one)
                        said.body[stored.part_of(request).first + 5] ^= 1;
                    said.answer(request, line);
                });
                if (by_md5) ground.object->store_etag = stored.etag;
                if (!by_md5) ground.object->sha256 = conf::sha256(body);
                const Got got = get_although_left_behind(ground, ground.whole(), times);
                CHECK(got.is(ErrorKind::corrupt));
                CHECK(got.bytes.size() < kLarge);
                CHECK_FALSE(ground.ends.back().sha256);
            }
        }
    }
}

TEST_CASE("fill: who was left behind gets no other version behind its bytes", "[serve][fill]") {
    const Stored stored{test::pattern(kLarge)};
    const Stored other{std::string(kLarge, 'x'), "v2"};
    for (const std::size_t times : {1UL, 2UL}) {
        for (const bool store_knows_if_match : {false, true}) {
            CAPTURE(times, store_knows_if_match);
            Ground ground(stored, [&](const Request& request, Line& line) {
                if (request.number < times) {
                    stored.answer(request, line);
                } else if (store_knows_if_match) {
                    line.say(test::answer(412, "no"));
                } else {
                    other.answer(request, line);
                }
            });
            ground.settings.tries = 1;
            const Got got = get_although_left_behind(ground, ground.whole(), times);
            CHECK(got.is(store_knows_if_match ? ErrorKind::conflict : ErrorKind::corrupt));
            CHECK(got.bytes.size() < kLarge);
            CHECK((got.bytes == stored.body.substr(0, got.bytes.size())));
        }
    }
}

TEST_CASE("fill: who was left behind in a part gets the rest of it, of the same version",
          "[serve][fill]") {
    const Stored stored{test::pattern(kLarge)};
    const Stored other{std::string(kLarge, 'x'), "v2"};
    const Stretch stretch{100'000, 800'000};
    for (const bool is_same : {true, false}) {
        CAPTURE(is_same);
        Ground ground(stored, [&](const Request& request, Line& line) {
            (request.number == 0 || is_same ? stored : other).answer(request, line);
        });
        ground.settings.tries = 1;
        ground.object->sha256 = conf::sha256(stored.body);
        const Got got = get_although_left_behind(ground, stretch, 1);
        CHECK(got.is(ErrorKind::corrupt) == !is_same);
        CHECK((got.bytes == stored.body.substr(stretch.offset, got.bytes.size())));
        CHECK((got.bytes.size() == stretch.length) == is_same);
    }
}

TEST_CASE("fill: who was left behind before it had anything goes on from nothing",
          "[serve][fill]") {
    const Stored stored{test::pattern(kLarge)};
    Ground ground(stored);
    const auto fill = ground.make_fill();
    const auto answer = [&]() -> Task<> {
        auto slow = fill->join(ground.first.loop, 0);
        auto fast = fill->join(ground.first.loop, 0);
        fill->launch();
        Got got;
        co_await read(*fast, 0, kMuchMore, got);
        const auto error = co_await slow->wait(0);
        CHECK((error && error->kind == ErrorKind::overloaded));
        CHECK(slow->beginning(0) == nullptr);
    };
    ground.first.loop.tasks().spawn(answer());
    ground.first.run();
}

namespace {

// No file of this process may become larger for now.
class FileLimit {
  public:
    explicit FileLimit(rlim_t bytes) {
        REQUIRE(getrlimit(RLIMIT_FSIZE, &before_) == 0);
        const rlimit limit{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
        REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    }
    ~FileLimit() {
        setrlimit(RLIMIT_FSIZE, &before_);
        std::signal(SIGXFSZ, signal_before_);
    }
    FileLimit(const FileLimit&) = delete;
    FileLimit& operator=(const FileLimit&) = delete;

  private:
    void (*signal_before_)(int) = std::signal(SIGXFSZ, SIG_IGN);  // a failed write will do
    rlimit before_{};
};

}  // namespace

TEST_CASE("fill: who was left behind where the shelf took no more is proved as well",
          "[serve][fill]") {
    constexpr std::uint64_t kOnShelf = 300'000;
    const Stored stored{test::pattern(kLarge)};
    for (const bool is_wrong : {false, true}) {
        for (const bool has_all_of_file : {false, true}) {
            CAPTURE(is_wrong, has_all_of_file);
            Stored said = stored;
            if (is_wrong) said.body[10] ^= 1;
            Ground ground(
                stored,
                [&](const Request& request, Line& line) {
                    (request.number == 0 ? said : stored).answer(request, line);
                },
                true);
            ground.object->sha256 = conf::sha256(stored.body);
            const FileLimit limit(kOnShelf);
            const auto fill = ground.make_fill();
            Got got;
            const auto answer = [&]() -> Task<> {
                auto slow = fill->join(ground.first.loop, 0);
                auto fast = fill->join(ground.first.loop, 0);
                fill->launch();
                // Stands in the file, or behind it, while what is there is dropped.
                co_await read(*slow, 0, has_all_of_file ? kOnShelf + 1 : 10, got);
                Got much;
                co_await read(*fast, 0, 2 * kMuchMore, much);
                fast.reset();
                co_await read(*slow, got.bytes.size(), kLarge, got);
                CHECK(got.is(ErrorKind::overloaded));
                if (!got.is(ErrorKind::overloaded)) co_return;
                got.error.reset();
                const std::uint64_t offset = got.bytes.size();
                CHECK(offset <= 2 * kMuchMore);
                const auto rest = ground.make_fill({offset, kLarge - offset}, std::nullopt,
                                                   slow->beginning(offset));
                slow.reset();
                auto reader = rest->join(ground.first.loop, offset);
                rest->launch();
                co_await read(*reader, offset, kLarge, got);
            };
            ground.first.loop.tasks().spawn(answer());
            ground.first.run();
            if (is_wrong) CHECK(got.is(ErrorKind::corrupt));
            if (!is_wrong) check_whole(got, stored);
        }
    }
}

TEST_CASE("fill: with a shelf it goes on when all readers have left", "[serve][fill]") {
    const Stored stored{test::pattern(kLarge)};
    Ground ground(stored, true);
    const auto fill = ground.make_fill();
    Got got;
    ground.first.loop.tasks().spawn(read_all(fill->join(ground.first.loop, 0), {0, 10}, got));
    fill->launch();
    ground.run();
    CHECK_FALSE(got.error);
    REQUIRE(ground.ends.size() == 1);
    CHECK_FALSE(ground.ends[0].error);
    const storage::ShelfName name("cold", "a.jpg", ground.object->version(), std::nullopt, kLarge);
    const auto found = ground.shelf->find(name);
    REQUIRE(found);
    std::string bytes(kLarge, '\0');
    REQUIRE((*found)->read(0, bytes));
    CHECK((bytes == stored.body));
}

// Says so much of the object, and the rest once it is told to.
class Halting {
  public:
    Halting(const Stored& stored, std::size_t first) : stored_(stored), first_(first) {}
    StubOrigin::Script script() {
        return [this](const Request& request, Line& line) {
            line.say(stored_.head(request));
            const std::string_view bytes = stored_.bytes(request);
            line.say(bytes.substr(0, first_));
            goes_on_.wait(false);
            line.say(bytes.substr(first_));
        };
    }
    void go_on() {
        goes_on_ = true;
        goes_on_.notify_all();
    }

  private:
    const Stored& stored_;
    const std::size_t first_;
    std::atomic<bool> goes_on_ = false;
};

TEST_CASE("fill: what all readers have left goes on where most has come or little is missing",
          "[serve][fill]") {
    constexpr std::size_t kMiB = 1024UL * 1024;
    struct Case {
        std::size_t size;
        std::size_t came;
        bool goes_on;
    };
    for (const Case& each : {Case{kHuge, kBuffer + 1, false}, Case{kHuge, kHuge / 2, false},
                             Case{kHuge, kHuge / 2 + 1, true}, Case{2 * kMiB, kMiB - 1, false},
                             Case{2 * kMiB, kMiB, true}, Case{kMiB, 1, true}}) {
        CAPTURE(each.size, each.came);
        const Stored stored{test::pattern(each.size)};
        Halting halting(stored, each.came);
        Ground ground(stored, halting.script(), true);
        const auto fill = ground.make_fill();
        Got next;
        const auto leave = [&](std::shared_ptr<FillReader> reader) -> Task<> {
            // The last byte of what has come is shown only where more is behind it.
            co_await until(ground.first.loop, [&] { return ground.pool().bytes == each.came; });
            co_await until(ground.first.loop,
                           [&] { return reader->look(each.came - 1).bytes > 0; });
            reader.reset();
            for (int turn = 0; turn < 3; ++turn)
                co_await ground.first.loop.yield();
            CHECK((fill->join(ground.first.loop, 0) != nullptr) == each.goes_on);
            if (!each.goes_on) {
                co_await until(ground.first.loop, [&] { return !ground.ends.empty(); });
                CHECK(ground.shelf->usage().entries == 0);
                co_await until(ground.first.loop, [&] { return ground.shelf->usage().bytes == 0; });
            }
            halting.go_on();
        };
        ground.first.loop.tasks().spawn(leave(fill->join(ground.first.loop, 0)));
        fill->launch();
        ground.run();
        CHECK(ground.origin.request_count() == 1);
        CHECK(ground.pool().failures == 0);
        REQUIRE(ground.ends.size() == 1);
        CHECK(ground.pool().bytes == (each.goes_on ? each.size : each.came));
        CHECK(ground.egress_used() == ground.pool().bytes);
        if (!each.goes_on) {
            REQUIRE(ground.ends[0].error);
            CHECK(ground.ends[0].error->kind == ErrorKind::closed);
            check_whole(ground.fetch(), stored);  // who comes later gets all of it
        }
        const storage::ShelfName name("cold", "a.jpg", ground.object->version(), std::nullopt,
                                      each.size);
        CHECK(ground.shelf->find(name));
    }
}

TEST_CASE("fill: what has come of one that is given up is paid for, read or not", "[serve][fill]") {
    constexpr std::size_t kSaid = 120'000;  // less than the kernel holds
    const Stored stored{test::pattern(kHuge)};
    Ground ground(
        stored,
        [&stored](const Request& request, Line& line) {
            line.say(stored.head(request) + std::string(stored.bytes(request).substr(0, kSaid)));
            line.hang();
        },
        true);
    ground.settings.buffer_bytes = 16'384;
    const auto fill = ground.make_fill();
    const auto leave = [&](std::shared_ptr<FillReader> reader) -> Task<> {
        const auto error = co_await reader->wait(0);
        CHECK_FALSE(error);
        // Its loop does nothing else meanwhile.
        while (ground.origin.bytes_said() <= kSaid)
            std::this_thread::yield();
        reader.reset();
    };
    ground.first.loop.tasks().spawn(leave(fill->join(ground.first.loop, 0)));
    fill->launch();
    ground.run();
    REQUIRE(ground.ends.size() == 1);
    CHECK(ground.ends[0].error);
    CHECK(ground.egress_used() == kSaid);
    CHECK(ground.pool().bytes == kSaid);
}

// ---- origins that break

TEST_CASE("fill: what was cut goes on from where it broke, with the same version",
          "[serve][fill]") {
    for (const std::size_t size : {kSmall, kLarge}) {
        for (const bool with_shelf : {false, true}) {
            CAPTURE(size, with_shelf);
            const Stored stored{test::pattern(size)};
            Ground ground(
                stored,
                [&](const Request& request, Line& line) {
                    if (request.number == 0) stored.answer_cut(request, line, 20'000);
                    if (request.number > 0) stored.answer(request, line);
                },
                with_shelf);
            ground.object->sha256 = conf::sha256(stored.body);
            check_whole(ground.fetch(), stored);
            const auto requests = ground.origin.requests();
            REQUIRE(requests.size() == 2);
            CHECK(requests[1].field("range") == fmt::format("bytes=20000-{}", size - 1));
            CHECK(requests[1].field("if-match") == "\"v1\"");
            CHECK(requests[1].connection != requests[0].connection);
            CHECK(ground.pool().resumed == 1);
            CHECK(ground.pool().failures == 1);
            CHECK(ground.calls_used() == 2);
        }
    }
}

TEST_CASE("fill: a part that was cut goes on inside the part", "[serve][fill]") {
    const Stored stored{test::pattern(kLarge)};
    Ground ground(stored, [&](const Request& request, Line& line) {
        if (request.number == 0) stored.answer_cut(request, line, 20'000);
        if (request.number > 0) stored.answer(request, line);
    });
    const Got got = ground.fetch({300'000, 200'000}, std::nullopt);
    CHECK_FALSE(got.error);
    CHECK((got.bytes == stored.body.substr(300'000, 200'000)));
    CHECK(ground.origin.requests()[1].field("range") == "bytes=320000-499999");
}

TEST_CASE("fill: another version is never put behind the first one's bytes", "[serve][fill]") {
    const Stored stored{test::pattern(kLarge)};
    const Stored other{std::string(kLarge, 'x'), "v2"};
    for (const bool store_knows_if_match : {false, true}) {
        CAPTURE(store_knows_if_match);
        Ground ground(stored, [&](const Request& request, Line& line) {
            if (request.number == 0) {
                stored.answer_cut(request, line, 100'000);
            } else if (store_knows_if_match) {
                line.say(test::answer(412, "no"));
            } else {
                other.answer(request, line);
            }
        });
        const Got got = ground.fetch();
        CHECK(got.is(store_knows_if_match ? ErrorKind::conflict : ErrorKind::corrupt));
        CHECK(got.bytes.size() <= 100'000);
        CHECK((got.bytes == stored.body.substr(0, got.bytes.size())));
        CHECK(ground.origin.request_count() == 2);
        REQUIRE(ground.ends.size() == 1);
        CHECK(ground.ends[0].error);
    }
}

TEST_CASE("fill: what nobody has seen begins anew with another version", "[serve][fill]") {
    const Stored stored{test::pattern(kSmall)};
    const Stored other{std::string(kSmall, 'x'), "v2"};
    for (const bool with_shelf : {false, true}) {
        CAPTURE(with_shelf);
        Ground ground(
            stored,
            [&](const Request& request, Line& line) {
                if (request.number == 0) stored.answer_cut(request, line, 20'000);
                if (request.number > 0) other.answer(request, line);
            },
            with_shelf);
        check_whole(ground.fetch(), other);
        const auto requests = ground.origin.requests();
        REQUIRE(requests.size() == 3);
        CHECK(requests[2].field("range").empty());
        CHECK(requests[2].field("if-match").empty());
        CHECK_FALSE(ground.ends[0].sha256);  // nothing says that this is what it should be
    }
}

TEST_CASE("fill: what an object is can be learnt where the store's ETag proves it",
          "[serve][fill]") {
    const std::string body = test::pattern(kSmall);
    const std::string md5 = conf::hex(conf::md5(body));
    const Stored stored{body, md5};
    const Stored wrong{std::string(kSmall, 'x'), md5};
    for (const bool with_shelf : {false, true}) {
        CAPTURE(with_shelf);
        Ground ground(
            stored,
            [&](const Request& request, Line& line) {
                (request.number == 0 ? wrong : stored).answer(request, line);
            },
            with_shelf);
        ground.object->store_etag = md5;
        check_whole(ground.fetch(), stored);
        CHECK(ground.origin.request_count() == 2);
        CHECK(ground.ends[0].sha256 == conf::sha256(body));
    }
}

TEST_CASE("fill: an object whose ETag the catalog knows has no other", "[serve][fill]") {
    const Stored stored{test::pattern(kSmall)};
    Ground ground(stored);
    ground.object->store_etag = "v0";
    ground.settings.tries = 2;
    const Got got = ground.fetch();
    CHECK(got.is(ErrorKind::corrupt));
    CHECK(got.bytes.empty());
    CHECK(ground.origin.request_count() == 2);
}

TEST_CASE("fill: answers that are not what was asked for", "[serve][fill]") {
    const Stored stored{test::pattern(kSmall)};
    const std::string& body = stored.body;
    const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct Case {
        const char* what;
        Stretch stretch;
        std::string said;
    };
    const Case cases[] = {
        {"shorter", {0, kSmall}, test::answer(200, body.substr(1))},
        {"longer", {0, kSmall}, test::answer(200, body + "x")},
        {"longer, and it does not say so",
         {0, kSmall},
         fmt::format("{}{:x}\r\n{}x\r\n0\r\n\r\n", chunked, kSmall + 1, body)},
        {"all for a part", {10, 20}, test::answer(200, body)},
        {"as much as the part, but it is none", {10, 20}, test::answer(200, body.substr(10, 20))},
        {"another part",
         {10, 20},
         test::answer(206, body.substr(11, 20), "Content-Range: bytes 11-30/50000\r\n")},
        {"a part of another object",
         {10, 20},
         test::answer(206, body.substr(10, 20), "Content-Range: bytes 10-29/50001\r\n")},
        {"a part without its place", {10, 20}, test::answer(206, body.substr(10, 20))},
    };
    for (const Case& each : cases) {
        CAPTURE(each.what);
        Ground ground(stored, [&](const Request&, Line& line) {
            line.say(each.said);
            line.cut();
        });
        ground.settings.tries = 2;
        const Got got = ground.fetch(each.stretch, std::nullopt);
        CHECK(got.is(ErrorKind::corrupt));
        CHECK(got.bytes.empty());
        CHECK(ground.origin.request_count() == 2);
        CHECK(ground.pool().corrupt == 2);
    }
}

TEST_CASE("fill: a body that ends early although it says no length goes on", "[serve][fill]") {
    const Stored stored{test::pattern(kLarge)};
    Ground ground(stored, [&](const Request& request, Line& line) {
        if (request.number > 0) {
            stored.answer(request, line);
            return;
        }
        line.say("HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nConnection: close\r\n\r\n");
        line.say(stored.bytes(request).substr(0, 100'000));
        line.cut();
    });
    check_whole(ground.fetch(), stored);
    CHECK(ground.origin.requests()[1].field("range") == "bytes=100000-999999");
}

TEST_CASE("fill: wrong content of a small object is seen by nobody, and fetched anew",
          "[serve][fill]") {
    const Stored stored{test::pattern(kSmall)};
    const Stored wrong{std::string(kSmall, 'x')};
    for (const bool with_shelf : {false, true}) {
        for (const bool ever_right : {false, true}) {
            CAPTURE(with_shelf, ever_right);
            Ground ground(
                stored,
                [&](const Request& request, Line& line) {
                    const bool is_right = ever_right && request.number == 2;
                    (is_right ? stored : wrong).answer(request, line);
                },
                with_shelf);
            ground.settings.tries = 3;
            ground.object->sha256 = conf::sha256(stored.body);
            const Got got = ground.fetch();
            CHECK(ground.origin.request_count() == 3);
            CHECK(ground.pool().corrupt == (ever_right ? 2 : 3));
            if (ever_right) {
                check_whole(got, stored);
            } else {
                CHECK(got.is(ErrorKind::corrupt));
                CHECK(got.bytes.empty());
            }
            if (!with_shelf) continue;
            const storage::ShelfName name("cold", "a.jpg", ground.object->version(), std::nullopt,
                                          kSmall);
            CHECK(ground.shelf->find(name).has_value() == ever_right);
        }
    }
}

TEST_CASE("fill: content that was proved before is known again, and no other is", "[serve][fill]") {
    const Stored stored{test::pattern(kSmall)};
    Ground ground(stored, [&](const Request& request, Line& line) {
        Stored said = stored;
        if (request.number >= 2 && request.number % 2 == 0)
            said.body[request.number * 7] = static_cast<char>(said.body[request.number * 7] ^ 1);
        said.answer(request, line);
    });
    ground.object->sha256 = conf::sha256(stored.body);
    for (int round = 0; round < 6; ++round) {
        check_whole(ground.fetch(), stored);
        CHECK(ground.ends.back().sha256 == ground.object->sha256);
    }
    CHECK(ground.origin.request_count() == 10);
    CHECK(ground.pool().corrupt == 4);

    // What is believed of the object has changed, so what was seen of it means nothing.
    ground.object->sha256 = conf::sha256("something else");
    ground.settings.tries = 2;
    CHECK(ground.fetch().is(ErrorKind::corrupt));
}

TEST_CASE("fill: wrong content of a large object never ends as if it were whole", "[serve][fill]") {
    Stored wrong{test::pattern(kLarge)};
    const auto right_sha256 = conf::sha256(wrong.body);
    wrong.body[10] = static_cast<char>(wrong.body[10] ^ 1);
    for (const bool with_shelf : {false, true}) {
        CAPTURE(with_shelf);
        Ground ground(wrong, with_shelf);
        ground.object->sha256 = right_sha256;
        const Got got = ground.fetch();
        CHECK(got.is(ErrorKind::corrupt));
        CHECK(got.bytes.size() < kLarge);
        CHECK(ground.origin.request_count() == 1);
        if (!with_shelf) continue;
        const storage::ShelfName name("cold", "a.jpg", ground.object->version(), std::nullopt,
                                      kLarge);
        CHECK_FALSE(ground.shelf->find(name));
    }
}

TEST_CASE("fill: it is not tried for ever", "[serve][fill]") {
    const Stored stored{test::pattern(kLarge)};
    for (const bool in_body : {false, true}) {
        CAPTURE(in_body);
        Ground ground(stored, [&](const Request& request, Line& line) {
            if (in_body) stored.answer_cut(request, line, 10'000);
            if (!in_body) line.cut();
        });
        ground.settings.tries = 3;
        const Got got = ground.fetch();
        CHECK(got.is(ErrorKind::io));
        REQUIRE(got.error);
        CHECK(got.error->store);
        CHECK(got.bytes.size() == (in_body ? 30'000 : 0));
        CHECK(ground.origin.request_count() == 3);
        CHECK(ground.pool().failures == 3);
        CHECK(ground.pool().resumed == (in_body ? 2 : 0));
    }
}

TEST_CASE("fill: what is not HTTP is tried again as a cut connection is", "[serve][fill]") {
    const Stored stored{test::pattern(kSmall)};
    for (const std::string said :
         {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "\r\n\r\n", "HTTP/9.9 \r\n\r\n"}) {
        for (const bool ever_right : {false, true}) {
            CAPTURE(said, ever_right);
            Ground ground(stored, [&](const Request& request, Line& line) {
                if (request.number == 1 && ever_right) {
                    stored.answer(request, line);
                    return;
                }
                line.say(said);
                line.cut();
            });
            ground.settings.tries = 2;
            const Got got = ground.fetch();
            CHECK(ground.origin.request_count() == 2);
            if (ever_right) {
                check_whole(got, stored);
            } else {
                CHECK(got.is(ErrorKind::io));
            }
        }
    }
}

TEST_CASE("fill: an origin that says nothing more is tried again", "[serve][fill]") {
    const Stored stored{test::pattern(kLarge)};
    for (const bool in_body : {false, true}) {
        CAPTURE(in_body);
        Ground ground(stored, [&](const Request& request, Line& line) {
            if (request.number == 0 && in_body)
                line.say(stored.head(request) + std::string(stored.bytes(request).substr(0, 100)));
            if (request.number == 0) line.hang();
            if (request.number > 0) stored.answer(request, line);
        });
        ground.settings.connect_timeout = 100ms;
        ground.settings.first_byte_timeout = 200ms;
        ground.settings.stall_timeout = 200ms;
        ground.settings.tries = 20;  // a busy machine may be silent for as long
        check_whole(ground.fetch(), stored);
        CHECK(ground.origin.request_count() >= 2);
    }
}

TEST_CASE("fill: what a store's refusals become", "[serve][fill]") {
    const Stored stored{test::pattern(kSmall)};
    const auto error = [](std::string_view code, std::string_view message) {
        return fmt::format("<Error><Code>{}</Code><Message>{}</Message></Error>", code, message);
    };
    struct Case {
        std::string said;
        ErrorKind kind;
        int retry_after_s = 0;
        unsigned requests = 1;
        bool is_missing = false;
        bool opens_breaker = false;
    };
    const Case cases[] = {
        {.said = test::answer(404, error("NoSuchKey", "no")),
         .kind = ErrorKind::not_found,
         .is_missing = true},
        {.said = test::answer(403, error("AccessDenied", "Transaction cap exceeded")),
         .kind = ErrorKind::capped,
         .opens_breaker = true},
        {.said = test::answer(403, error("AccessDenied", "no")), .kind = ErrorKind::denied},
        {.said = test::answer(503, "", "Retry-After: 1\r\n"),
         .kind = ErrorKind::overloaded,
         .retry_after_s = 1,
         .requests = 2},
        {.said = test::answer(500, ""), .kind = ErrorKind::io, .requests = 2},
    };
    for (const Case& each : cases) {
        CAPTURE(each.said);
        Ground ground(stored, [&](const Request&, Line& line) { line.say(each.said); });
        ground.settings.tries = 2;
        const auto begun = std::chrono::steady_clock::now();
        const Got got = ground.fetch();
        const auto took = std::chrono::steady_clock::now() - begun;
        REQUIRE(got.error);
        CHECK(got.error->kind == each.kind);
        REQUIRE(got.error->store);
        CHECK(got.error->store->retry_after == std::chrono::seconds(each.retry_after_s));
        CHECK(took >= std::chrono::seconds(each.retry_after_s));
        CHECK(ground.origin.request_count() == each.requests);
        CHECK(ground.pool().missing == (each.is_missing ? 1 : 0));
        CHECK(ground.pool().failures == each.requests);
        CHECK(ground.breaker().is_capped() == each.opens_breaker);
    }
}

// ---- what is given up

namespace {

// Where a fill waits when it is ended.
enum class Where : std::uint8_t { head, body, room, delay };
constexpr Where kEverywhere[] = {Where::head, Where::body, Where::room, Where::delay};

StubOrigin::Script script_for(Where where, const Stored& stored) {
    return [where, &stored](const Request& request, Line& line) {
        if (where == Where::head) line.hang();
        if (where == Where::body) {
            line.say(stored.head(request));
            line.say(stored.bytes(request).substr(0, 20'000));
            line.hang();
        }
        if (where == Where::room) stored.answer(request, line);
        if (where == Where::delay) line.say(test::answer(503, "", "Retry-After: 2\r\n"));
    };
}

// Until it waits there.
Task<> until_it_waits(Ground& ground, Where where) {
    co_await until(ground.first.loop, [&] {
        if (where == Where::head) return ground.origin.request_count() == 1;
        if (where == Where::body) return ground.pool().bytes == 20'000;
        if (where == Where::room) return ground.pool().bytes >= kBuffer;
        return ground.pool().failures == 1;
    });
    co_await ground.first.loop.delay(100);
}

// The store has to be tried out, by a fill that is then ended: nothing was learnt. Only where the
// fill waits before its second try its first one was answered.
void check_ended(Ground& ground, Where where, std::uint64_t took_ms) {
    CHECK(took_ms < (where == Where::delay ? kBeforeRetryMs : kSoonMs));
    CHECK(ground.origin.request_count() == 1);
    CHECK(ground.pool().failures == (where == Where::delay ? 1 : 0));
    CHECK(ground.pool().resumed == 0);
    if (where == Where::head) CHECK(ground.probe_is_free());
    // A good head has shown that the store is well.
    if (where == Where::body || where == Where::room)
        CHECK(ground.breaker().state(std::chrono::steady_clock::now()) == Breaker::State::closed);
    REQUIRE(ground.ends.size() == 1);
    REQUIRE(ground.ends[0].error);
    CHECK(ground.ends[0].error->kind == ErrorKind::closed);
}

}  // namespace

TEST_CASE("fill: given up, it ends at once wherever it waits", "[serve][fill]") {
    const Stored stored{test::pattern(kHuge)};
    for (const Where where : kEverywhere) {
        for (const bool from_other_thread : {false, true}) {
            CAPTURE(static_cast<int>(where), from_other_thread);
            Ground ground(stored, script_for(where, stored));
            if (where != Where::delay) ground.open_breaker(6s);
            const auto fill = ground.make_fill();
            Got got;
            std::uint64_t took_ms = 0;
            std::atomic<bool> it_waits = false;
            const auto answer = [&](std::shared_ptr<FillReader> reader) -> Task<> {
                co_await until_it_waits(ground, where);
                const std::uint64_t begun = ground.first.loop.now_ms();
                it_waits = true;
                if (!from_other_thread) fill->give_up();
                co_await read(*reader, 0, kHuge, got);
                took_ms = ground.first.loop.now_ms() - begun;
                CHECK(fill->join(ground.first.loop, 0) == nullptr);
            };
            const auto end = [&]() -> Task<> {
                co_await until(ground.second.loop, [&] { return it_waits.load(); });
                if (from_other_thread) fill->give_up();
            };
            ground.first.loop.tasks().spawn(answer(fill->join(ground.first.loop, 0)));
            ground.second.loop.tasks().spawn(end());
            fill->launch();
            ground.run();
            CHECK(got.is(ErrorKind::closed));
            check_ended(ground, where, took_ms);
        }
    }
}

TEST_CASE("fill: what nobody waits for is ended at once wherever it waits", "[serve][fill]") {
    const Stored stored{test::pattern(kHuge)};
    for (const Where where : kEverywhere) {
        for (const bool on_other_loop : {false, true}) {
            CAPTURE(static_cast<int>(where), on_other_loop);
            Ground ground(stored, script_for(where, stored));
            if (where != Where::delay) ground.open_breaker(6s);
            const auto fill = ground.make_fill();
            std::uint64_t begun_ms = 0;
            std::atomic<bool> it_waits = false;
            const auto watch = [&]() -> Task<> {
                co_await until_it_waits(ground, where);
                begun_ms = ground.first.loop.now_ms();
                it_waits = true;
            };
            const auto leave = [&](loop::Loop& loop, std::shared_ptr<FillReader> reader) -> Task<> {
                co_await until(loop, [&] { return it_waits.load(); });
                reader.reset();
            };
            loop::Loop& loop = (on_other_loop ? ground.second : ground.first).loop;
            ground.first.loop.tasks().spawn(watch());
            loop.tasks().spawn(leave(loop, fill->join(loop, 0)));
            fill->launch();
            ground.run();
            check_ended(ground, where, ground.first.loop.now_ms() - begun_ms);
        }
    }
}

TEST_CASE("fill: given up before its first request, it makes none", "[serve][fill]") {
    const Stored stored{test::pattern(kSmall)};
    for (const bool with_shelf : {false, true}) {
        CAPTURE(with_shelf);
        Ground ground(stored, with_shelf);
        const auto fill = ground.make_fill();
        Got got;
        ground.first.loop.tasks().spawn(
            read_all(fill->join(ground.first.loop, 0), ground.whole(), got));
        fill->give_up();
        const auto begin = [&]() -> Task<> {
            co_await ground.first.loop.yield();
            co_await ground.first.loop.yield();
            fill->launch();
        };
        ground.first.loop.tasks().spawn(begin());
        ground.run();
        CHECK(got.is(ErrorKind::closed));
        CHECK(ground.origin.request_count() == 0);
        CHECK(ground.calls_used() == 0);
    }
}

TEST_CASE("fill: one that was given up leaves nothing on the shelf", "[serve][fill]") {
    const Stored stored{test::pattern(kLarge)};
    for (const Where where : {Where::head, Where::body, Where::delay}) {
        CAPTURE(static_cast<int>(where));
        Ground ground(stored, script_for(where, stored), true);
        const auto fill = ground.make_fill();
        Got got;
        const auto answer = [&](std::shared_ptr<FillReader> reader) -> Task<> {
            co_await until_it_waits(ground, where);
            fill->give_up();
            co_await read(*reader, 0, kLarge, got);
        };
        ground.first.loop.tasks().spawn(answer(fill->join(ground.first.loop, 0)));
        fill->launch();
        ground.run();
        CHECK(got.is(ErrorKind::closed));
        const auto usage = ground.shelf->usage();
        CHECK(usage.entries == 0);
        CHECK(usage.bytes == 0);
    }
}

// ---- the gate

TEST_CASE("fill: a store that fails is not asked, which costs nothing of the day",
          "[serve][fill]") {
    const Stored stored{test::pattern(kSmall)};
    Ground ground(stored);
    ground.pool_settings.daily_class_b_calls = 1;
    ground.open_breaker(0s);
    for (int i = 0; i < 5; ++i) {
        const Got got = ground.fetch();
        REQUIRE(got.is(ErrorKind::overloaded));
        REQUIRE(got.error->store);
        CHECK(got.error->store->retry_after > 0s);
        CHECK(got.error->store->retry_after <= 5s);
    }
    CHECK(ground.origin.request_count() == 0);
    CHECK(ground.calls_used() == 0);
    CHECK(ground.pool().failures == 0);
}

TEST_CASE("fill: a used up budget is said, and leaves the breaker's probe to others",
          "[serve][fill]") {
    const Stored stored{test::pattern(kSmall)};
    Ground ground(stored);
    ground.pool_settings.daily_class_b_calls = 1;
    check_whole(ground.fetch(), stored);
    ground.open_breaker(6s);
    for (int i = 0; i < 3; ++i) {
        const Got got = ground.fetch();
        REQUIRE(got.is(ErrorKind::capped));
        REQUIRE(got.error->store);
        CHECK(got.error->store->retry_after > 0s);
    }
    CHECK(ground.origin.request_count() == 1);
    CHECK(ground.probe_is_free());
}

TEST_CASE("fill: a budget that is used up within an object ends it", "[serve][fill]") {
    const Stored stored{test::pattern(kLarge)};
    Ground ground(stored, [&](const Request& request, Line& line) {
        stored.answer_cut(request, line, 100'000);
    });
    ground.pool_settings.daily_class_b_calls = 2;
    const Got got = ground.fetch();
    CHECK(got.is(ErrorKind::capped));
    CHECK(got.bytes.size() == 200'000);
    CHECK(ground.origin.request_count() == 2);
}

TEST_CASE("fill: one that succeeds closes the breaker, one that fails opens it anew",
          "[serve][fill]") {
    const Stored stored{test::pattern(kSmall)};
    for (const bool is_well : {false, true}) {
        CAPTURE(is_well);
        Ground ground(stored, [&](const Request& request, Line& line) {
            is_well ? stored.answer(request, line) : line.cut();
        });
        ground.open_breaker(6s);
        const Got got = ground.fetch();
        CHECK(got.error.has_value() == !is_well);
        CHECK(ground.breaker().state(std::chrono::steady_clock::now()) ==
              (is_well ? Breaker::State::closed : Breaker::State::open));
        CHECK(ground.origin.request_count() == 1);
    }
}
