// Who gets which token, and how often one is fetched. Time is the machine's; what must not happen
// is shown by counting.
#include "proxy/serve/download_authorization.h"

#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "tests/support/stub_origin.h"

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace tidepool;
using namespace tidepool::serve;
using namespace std::chrono_literals;
using loop::Task;
using storage::NextTry;
using storage::StoreFailure;
using Grant = DownloadAuthorization::Grant;

namespace {

constexpr std::uint64_t kLookMs = 1;

StoreFailure failure(ErrorKind kind, NextTry next, std::string code = "") {
    StoreDetail detail;
    detail.pool = "cold";
    detail.code = std::move(code);
    return {.error = fail(kind, "pool cold: no", std::move(detail)).error(), .next = next};
}

StoreFailure refused_as(std::string code) {
    return failure(ErrorKind::denied, NextTry::new_token, std::move(code));
}

// A B2 that gives the tokens "t1", "t2" and so on, or fails when it is told to.
class Ground {
  public:
    Ground() = default;
    // Fails so many times first, or always.
    explicit Ground(StoreFailure failure_of_all, int times = 1'000'000)
        : failure_(std::move(failure_of_all)), failing_(times) {}

    DownloadAuthorization& start() {
        authorization_ = std::make_unique<DownloadAuthorization>(
            "cold",
            [this](const std::atomic<bool>& stop) -> std::expected<Granted, StoreFailure> {
                fetched_.fetch_add(1);
                while (held_.load() && !stop.load())
                    held_.wait(true);
                if (stop.load()) return std::unexpected(failure(ErrorKind::io, NextTry::later));
                if (failing_.load() > 0) {
                    failing_.fetch_sub(1);
                    return std::unexpected(failure_);
                }
                return Granted{.grant = {.authorization = fmt::format("t{}", ++given_),
                                         .download_url = "https://f001.example"},
                               .prefix = "",
                               .begun = std::chrono::steady_clock::now(),
                               .lifetime = lifetime};
            },
            storage::RetryLimits{.tries = 3, .first = 2ms, .most = 2ms, .budget = 10s});
        return *authorization_;
    }
    void hold() { held_.store(true); }
    void let_go() {
        held_.store(false);
        held_.notify_all();
    }
    int fetched() const { return fetched_.load(); }

    std::chrono::seconds lifetime{3600};

  private:
    StoreFailure failure_;
    std::atomic<int> failing_ = 0;
    std::atomic<bool> held_ = false;
    std::atomic<int> fetched_ = 0;
    int given_ = 0;
    std::unique_ptr<DownloadAuthorization> authorization_;
};

Task<> take(DownloadAuthorization& from, loop::Loop& loop, Grant refused, Result<Grant>& into) {
    DownloadAuthorization::Wait wait = from.grant(loop, std::move(refused));
    into = co_await wait;
}

Result<Grant> nothing_yet() {
    return fail(ErrorKind::invalid, "nothing yet");
}

// What one gets who waits for it.
Result<Grant> get(DownloadAuthorization& from, Grant refused = nullptr) {
    loop::Loop loop;
    Result<Grant> got = nothing_yet();
    loop.tasks().spawn(take(from, loop, std::move(refused), got));
    loop.stop();
    loop.run();
    return got;
}

std::string token(const Result<Grant>& got) {
    return got ? (*got)->authorization : "error: " + got.error().text;
}

}  // namespace

TEST_CASE("download authorization: one round for all who wait, on any loop", "[serve][b2]") {
    Ground ground;
    ground.hold();
    DownloadAuthorization& authorization = ground.start();
    constexpr std::size_t kLoops = 4;
    constexpr std::size_t kEach = 50;
    std::vector<Result<Grant>> got(kLoops * kEach, nothing_yet());
    std::atomic<std::size_t> waiting = 0;
    std::vector<std::thread> threads;
    for (std::size_t number = 0; number < kLoops; ++number) {
        threads.emplace_back([&, number] {
            loop::Loop loop;
            for (std::size_t i = 0; i < kEach; ++i)
                loop.tasks().spawn(take(authorization, loop, nullptr, got[number * kEach + i]));
            if (++waiting == kLoops) ground.let_go();
            loop.stop();
            loop.run();
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    for (const Result<Grant>& each : got)
        CHECK(token(each) == "t1");
    CHECK(ground.fetched() == 1);
    CHECK(token(get(authorization)) == "t1");
    CHECK(ground.fetched() == 1);
    CHECK(authorization.good_for(std::chrono::steady_clock::now()) > 3500s);
}

TEST_CASE("download authorization: what the store calls expired is given to nobody",
          "[serve][b2]") {
    for (const char* code : {"expired_auth_token", "bad_auth_token"}) {
        Ground ground;
        DownloadAuthorization& authorization = ground.start();
        const Grant first = get(authorization).value();
        const StoreFailure judged = authorization.judge(first, refused_as(code));
        CHECK(judged.next == NextTry::new_token);
        CHECK(judged.error.store->unauthorized);
        CHECK(token(get(authorization)) == "t2");
        // Those who had it, too, and come later.
        authorization.judge(first, refused_as(code));
        CHECK(token(get(authorization, first)) == "t2");
        CHECK(ground.fetched() == 2);
    }
}

TEST_CASE("download authorization: one object that it does not open keeps it from no other",
          "[serve][b2]") {
    Ground ground;
    DownloadAuthorization& authorization = ground.start();
    const Grant first = get(authorization).value();
    authorization.judge(first, refused_as("unauthorized"));
    CHECK(token(get(authorization)) == "t1");
    CHECK(token(get(authorization, first)) == "t2");
    CHECK(ground.fetched() == 2);
}

TEST_CASE("download authorization: other failures of a fetch say nothing about it", "[serve][b2]") {
    Ground ground;
    DownloadAuthorization& authorization = ground.start();
    const Grant first = get(authorization).value();
    const StoreFailure judged =
        authorization.judge(first, failure(ErrorKind::io, NextTry::fresh_connection));
    CHECK_FALSE(judged.error.store->unauthorized);
    CHECK(token(get(authorization)) == "t1");
    CHECK(ground.fetched() == 1);
}

TEST_CASE("download authorization: a bucket that refuses each new token causes no storm",
          "[serve][b2]") {
    Ground ground;
    DownloadAuthorization& authorization = ground.start();
    Result<Grant> last = get(authorization);
    int refusals = 0;
    for (int i = 0; i < 1000; ++i) {
        if (last) authorization.judge(*last, refused_as("expired_auth_token"));
        last = get(authorization, last ? *last : nullptr);
        if (!last) ++refusals;
    }
    CHECK(ground.fetched() <= static_cast<int>(RefreshPlan::kMostAMinute) + 1);
    CHECK(refusals > 900);
    REQUIRE_FALSE(last);
    CHECK(last.error().store->unauthorized);
    CHECK(last.error().store->retry_after > 0s);
    CHECK(last.error().store->retry_after <= 60s);
}

TEST_CASE("download authorization: who cannot get one is told so at once", "[serve][b2]") {
    Ground ground(failure(ErrorKind::denied, NextTry::never, "unauthorized"));
    DownloadAuthorization& authorization = ground.start();
    const Result<Grant> first = get(authorization);
    REQUIRE_FALSE(first);
    CHECK(first.error().kind == ErrorKind::denied);
    CHECK(first.error().store->code == "unauthorized");
    CHECK(first.error().store->unauthorized);
    int refusals = 0;
    for (int i = 0; i < 1000; ++i) {
        if (!get(authorization)) ++refusals;
    }
    CHECK(refusals == 1000);
    CHECK(ground.fetched() <= static_cast<int>(RefreshPlan::kMostAMinute) + 1);
    CHECK(authorization.good_for(std::chrono::steady_clock::now()) == 0s);
    CHECK(authorization.failures() >= 1);
}

TEST_CASE("download authorization: what passes is tried again while somebody waits",
          "[serve][b2]") {
    Ground ground(failure(ErrorKind::io, NextTry::fresh_connection), 2);
    DownloadAuthorization& authorization = ground.start();
    CHECK(token(get(authorization)) == "t1");
    CHECK(ground.fetched() == 3);
    CHECK(authorization.failures() == 0);
}

TEST_CASE("download authorization: one that has ended is fetched anew by itself", "[serve][b2]") {
    Ground ground;
    ground.lifetime = 4s;  // less than may be configured; believed for one second
    DownloadAuthorization& authorization = ground.start();
    REQUIRE(token(get(authorization)) == "t1");
    loop::Loop loop;
    // Nobody asks for it.
    loop.tasks().spawn([](loop::Loop& on, Ground& of) -> Task<> {
        while (of.fetched() < 2)
            co_await on.delay(kLookMs);
    }(loop, ground));
    loop.stop();
    loop.run();
    CHECK(token(get(authorization)) == "t2");
}

TEST_CASE("download authorization: a wait can be ended from either side", "[serve][b2]") {
    Ground ground;
    ground.hold();
    DownloadAuthorization& authorization = ground.start();
    loop::Loop loop;
    Result<Grant> cut = nothing_yet();
    Result<Grant> stopped = nothing_yet();
    DownloadAuthorization::Wait* running = nullptr;
    const auto wait = [&]() -> Task<> {
        DownloadAuthorization::Wait each = authorization.grant(loop, nullptr);
        running = &each;
        cut = co_await each;
    };
    loop.tasks().spawn(wait());
    loop.tasks().spawn(take(authorization, loop, nullptr, stopped));
    std::thread other;
    loop.post([&] {
        running->cut();
        CHECK(cut.error().kind == ErrorKind::closed);
        other = std::thread([&] {
            ground.let_go();
            authorization.stop();
        });
    });
    loop.stop();
    loop.run();
    other.join();
    // Either it had just come, or nobody will bring it any more.
    if (!stopped) CHECK(stopped.error().store->unauthorized);
    const Result<Grant> late = get(authorization, stopped ? *stopped : nullptr);
    REQUIRE_FALSE(late);
    CHECK(late.error().kind == ErrorKind::overloaded);
}

TEST_CASE("b2 authorizer: what goes wrong is told, and no secret with it", "[serve][b2]") {
    struct Case {
        const char* head;
        std::string body;
        ErrorKind kind;
        NextTry next;
        const char* text;
    };
    const std::string echo = R"({"code": "bad_request", "message": "what is TOPSECRET and )"
                             R"(Basic a2V5aWQ6VE9QU0VDUkVU", "status": 400})";
    const Case cases[] = {
        {"401 ", R"({"code": "unauthorized", "message": "", "status": 401})", ErrorKind::denied,
         NextTry::never, "does not know access_key_id"},
        {"401 ", "", ErrorKind::denied, NextTry::never, "does not know access_key_id"},
        {"403 ", R"({"code": "transaction_cap_exceeded", "message": "cap", "status": 403})",
         ErrorKind::capped, NextTry::never, "a limit of the store's account"},
        {"429 ", R"({"code": "too_many_requests", "message": "slow", "status": 429})",
         ErrorKind::overloaded, NextTry::later, "a limit of the store's account"},
        {"503 ", R"({"code": "service_unavailable", "message": "busy", "status": 503})",
         ErrorKind::io, NextTry::fresh_connection, "service_unavailable"},
        {"500 ", "<html>", ErrorKind::io, NextTry::fresh_connection, "500"},
        {"404 ", "<html>nginx</html>", ErrorKind::misconfigured, NextTry::never,
         "native_url is not B2's"},
        {"302 ", "", ErrorKind::misconfigured, NextTry::never, "native_url is not B2's"},
        {"400 ", echo, ErrorKind::misconfigured, NextTry::never, "what is *** and ***"},
        {"200 ", "<html>a portal</html>", ErrorKind::io, NextTry::later, "no JSON object"},
        {"200 ", R"({"authorizationToken": "TOPSECRET"})", ErrorKind::io, NextTry::later,
         "has no accountId"},
    };
    for (const Case& each : cases) {
        CAPTURE(each.head, each.body);
        const test::StubOrigin origin([&](const auto&, test::StubOrigin::Line& line) {
            line.say(fmt::format("HTTP/1.1 {}x\r\nContent-Length: {}\r\n\r\n{}", each.head,
                                 each.body.size(), each.body));
        });
        conf::PoolSettings settings;
        settings.name = "cold";
        settings.bucket = "bucket";
        settings.native_url = origin.url("");
        settings.access_key_id = conf::Secret("", "keyid");
        settings.secret_access_key = conf::Secret("env:S", "TOPSECRET");
        storage::StoreGate gate(settings);
        B2Authorizer authorizer(settings, gate, {});
        const auto granted = authorizer.authorize(nullptr);
        REQUIRE_FALSE(granted);
        const Error& error = granted.error().error;
        CAPTURE(error.text);
        CHECK(error.kind == each.kind);
        CHECK(granted.error().next == each.next);
        CHECK(error.text.starts_with("pool cold: b2_authorize_account"));
        CHECK(error.text.find(each.text) != std::string::npos);
        CHECK(error.text.find("TOPSECRET") == std::string::npos);
        CHECK(error.text.find("a2V5aWQ6") == std::string::npos);
        CHECK(gate.budget.use(std::time(nullptr)).used[2] == 1);
    }
}

TEST_CASE("b2 authorizer: a used up budget asks nobody", "[serve][b2]") {
    conf::PoolSettings settings;
    settings.name = "cold";
    settings.daily_class_c_calls = 1;
    settings.native_url = "http://127.0.0.1:1";
    storage::StoreGate gate(settings);
    gate.budget.take(storage::CallClass::c, std::time(nullptr));
    B2Authorizer authorizer(settings, gate, {});
    const auto granted = authorizer.authorize(nullptr);
    REQUIRE_FALSE(granted);
    CHECK(granted.error().error.kind == ErrorKind::capped);
    CHECK(granted.error().error.text.find("budget of this pool is used up") != std::string::npos);
    CHECK(granted.error().error.store->retry_after > 0s);
}
