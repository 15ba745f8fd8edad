// The runner against a real catalog; two of them are two processes.
#include "storage/job_runner.h"

#include "storage/job_lanes.h"
#include "storage/job_owner.h"
#include "tests/support/catalog_backends.h"

#include <atomic>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace tidepool;
using namespace tidepool::storage;
using test::value_of;
using State = JobRecord::State;

namespace {

// Waits until something has been said so often.
class Tally {
  public:
    void add(const std::string& what) {
        {
            const std::lock_guard lock(mutex_);
            seen_.insert(what);
        }
        changed_.notify_all();
    }
    bool wait_for(const std::string& what, std::size_t count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(60),
                                 [&] { return seen_.count(what) >= count; });
    }
    std::size_t count(const std::string& what) {
        const std::lock_guard lock(mutex_);
        return seen_.count(what);
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::multiset<std::string> seen_;
};

JobRunner::Options quick() {
    return {.threads = 3, .look_ms = 5};
}

// Until the job is in that state.
bool reaches(Catalog& catalog, JobId id, State state) {
    for (int i = 0; i < 6000; ++i) {
        if (value_of(catalog.find_job(id))->state == state) return true;
        usleep(10'000);  // tidy: allow sleep, the runner tells nobody when its last write is done
    }
    return false;
}

}  // namespace

TEST_CASE("job runner: does what is due, and says what became of it", "[storage][jobs]") {
    test::SqliteBackend backend;
    const auto catalog = backend.open();
    Tally tally;
    JobRunner runner(*catalog, quick());
    runner.handle("good", [&](JobRun& run) {
        tally.add(run.job().payload);
        return JobEnd::done();
    });
    runner.handle("bad", [&](JobRun&) { return JobEnd::failed({ErrorKind::denied, "no"}); });
    runner.handle("later", [&](JobRun&) {
        tally.add("later");
        return JobEnd::failed({ErrorKind::io, "flaky"});
    });
    const JobId good = value_of(catalog->queue_job({.type = "good", .payload = "1"}, 0));
    const JobId bad = value_of(catalog->queue_job({.type = "bad", .payload = "{}"}, 0));
    const JobId later = value_of(catalog->queue_job({.type = "later", .payload = "{}"}, 0));
    const JobId other = value_of(catalog->queue_job({.type = "unknown", .payload = "{}"}, 0));
    runner.start();
    CHECK(reaches(*catalog, good, State::done));
    CHECK(reaches(*catalog, bad, State::failed));
    CHECK(tally.wait_for("later", 2));  // it comes again
    CHECK(tally.count("1") == 1);
    runner.stop();
    const auto failed = value_of(catalog->find_job(bad));
    CHECK(failed->error_class == "denied");
    CHECK(failed->error_text == "no");
    CHECK(value_of(catalog->find_job(later))->error_class == "io");
    CHECK(value_of(catalog->find_job(other))->state == State::queued);
    CHECK(runner.counters().done == 1);
}

TEST_CASE("job runner: what the catalog refuses ends as its job says", "[storage][jobs]") {
    test::SqliteBackend backend;
    const auto catalog = backend.open();
    const PoolId hot = test::make_pool(*catalog, "hot");
    const PoolId cold = test::make_pool(*catalog, "cold");
    constexpr int kJobs = 40;
    const auto key = [](int n) { return fmt::format("uploads/{}.jpg", n); };
    std::vector<JobId> ids;
    for (int n = 0; n < kJobs; ++n) {
        value_of(catalog->put_object(test::make_object(key(n), hot, 5)));
        ids.push_back(
            value_of(catalog->queue_job({.type = "move", .payload = fmt::format("{}", n)}, 0)));
    }
    Tally tally;
    JobRunner runner(*catalog, quick());
    runner.handle("move", [&](JobRun& run) {
        const int n = std::stoi(run.job().payload);
        // Every fourth one is not what the catalog knows.
        Relocation relocation{.objects = {test::make_object(key(n), hot, n % 4 == 0 ? 6 : 5)},
                              .to = cold,
                              .by = run.lease()};
        return JobEnd::relocates(std::move(relocation),
                                 [&](Result<void> done) -> std::optional<JobEnd> {
                                     tally.add(done ? "moved" : "refused");
                                     if (done) return std::nullopt;
                                     return JobEnd::failed({ErrorKind::denied, "no"});
                                 });
    });
    runner.start();
    CHECK(tally.wait_for("moved", kJobs * 3 / 4));
    CHECK(tally.wait_for("refused", kJobs / 4));
    for (int n = 0; n < kJobs; ++n) {
        CHECK(reaches(*catalog, ids[static_cast<std::size_t>(n)],
                      n % 4 == 0 ? State::failed : State::done));
        CHECK(value_of(catalog->find(key(n)))->pool == (n % 4 == 0 ? hot : cold));
    }
    runner.stop();
    CHECK(runner.counters().done == kJobs * 3 / 4);
    CHECK(runner.counters().failed == kJobs / 4);
    test::check_accounts(*catalog);
}

TEST_CASE("job runner: a lane that was quick and then hangs holds up no other", "[storage][jobs]") {
    test::SqliteBackend backend;
    const auto catalog = backend.open();
    Tally tally;
    std::atomic<bool> hangs = false;
    std::atomic<bool> ended = false;
    auto options = quick();
    options.room = [](const std::string& lane, const JobRunner::Running& running) {
        if (lane != "fickle") return std::size_t{3};
        const auto at_work = running.find(lane);
        return std::size_t{1} - (at_work == running.end() ? 0 : at_work->second);
    };
    JobRunner runner(*catalog, options);
    runner.handle("fickle", [&](JobRun& run) {
        tally.add("fickle");
        while (hangs && run.goes_on() && !ended)
            usleep(1000);  // tidy: allow sleep, it plays what hangs
        return JobEnd::done_soon();
    });
    runner.handle("other", [&](JobRun&) {
        tally.add("other");
        return JobEnd::done();
    });
    // So many that it holds as many as it ever does.
    std::vector<NewJob> jobs(3000, {.type = "fickle", .payload = "{}"});
    value_of(catalog->queue_jobs(jobs, 0));
    runner.start();
    REQUIRE(tally.wait_for("fickle", 1500));
    hangs = true;
    jobs.assign(30, {.type = "other", .payload = "{}"});
    value_of(catalog->queue_jobs(jobs, 0));
    CHECK(tally.wait_for("other", 30));
    ended = true;
    runner.stop();
}

TEST_CASE("job runner: what was done by the time it stops is written down", "[storage][jobs]") {
    test::SqliteBackend backend;
    const auto catalog = backend.open();
    Tally tally;
    JobRunner runner(*catalog, quick());
    runner.handle("last", [&](JobRun& run) {
        tally.add("began");
        while (run.goes_on())
            usleep(1000);  // tidy: allow sleep, it plays what takes long
        return JobEnd::done();
    });
    const JobId id = value_of(catalog->queue_job({.type = "last", .payload = "{}"}, 0));
    runner.start();
    REQUIRE(tally.wait_for("began", 1));
    runner.stop();
    CHECK(value_of(catalog->find_job(id))->state == State::done);
}

TEST_CASE("job runner: a lane whose jobs hang holds up no other", "[storage][jobs]") {
    test::SqliteBackend backend;
    const auto catalog = backend.open();
    Tally tally;
    std::atomic<bool> ended = false;
    auto options = quick();
    options.room = [](const std::string& lane, const JobRunner::Running& running) {
        const auto at_work = running.find(lane);
        return std::size_t{1} - (at_work == running.end() ? 0 : at_work->second);
    };
    JobRunner runner(*catalog, options);
    std::atomic<int> hanging = 0;
    std::atomic<int> most_hanging = 0;
    runner.handle("hang", [&](JobRun& run) {
        most_hanging = std::max<int>(most_hanging, ++hanging);
        tally.add("hang");
        while (run.goes_on() && !ended)
            usleep(1000);  // tidy: allow sleep, it plays what hangs
        --hanging;
        return JobEnd::put_off(0);
    });
    runner.handle("quick", [&](JobRun&) {
        tally.add("quick");
        return JobEnd::done();
    });
    for (int i = 0; i < 10; ++i)
        value_of(catalog->queue_job({.type = "hang", .payload = "{}", .priority = 1}, 0));
    runner.start();
    REQUIRE(tally.wait_for("hang", 1));
    for (int i = 0; i < 20; ++i)
        value_of(catalog->queue_job({.type = "quick", .payload = "{}"}, 0));
    CHECK(tally.wait_for("quick", 20));
    CHECK(most_hanging == 1);
    runner.stop();  // they see it by goes_on()
    ended = true;
    CHECK(hanging == 0);
}

TEST_CASE("job runner: no job waits for longer than any has reason to", "[storage][jobs]") {
    test::SqliteBackend backend;
    const auto catalog = backend.open();
    const std::int64_t now_s = std::time(nullptr);
    const JobId id = value_of(catalog->queue_job(
        {.type = "move", .payload = "{}", .not_before_s = now_s + 1'000'000}, now_s));
    auto options = quick();
    options.most_wait_s = 1000;
    JobRunner runner(*catalog, options);
    runner.start();
    runner.stop();
    CHECK(value_of(catalog->find_job(id))->next_run_s <= std::time(nullptr) + 1000);
}

TEST_CASE("job runner: what a process left is taken over when it has died", "[storage][jobs]") {
    test::SqliteBackend backend;
    const auto catalog = backend.open();
    const JobId id = value_of(catalog->queue_job({.type = "move", .payload = "{}"}, 0));
    // A child takes the job and dies with it.
    int pipe_ends[2];
    REQUIRE(pipe(pipe_ends) == 0);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const std::string owner = new_job_owner();
        const bool told = write(pipe_ends[1], owner.data(), owner.size()) > 0;
        _exit(told ? 0 : 1);
    }
    char name[256];
    const ssize_t size = read(pipe_ends[0], name, sizeof name);
    REQUIRE(size > 0);
    const std::string owner(name, static_cast<std::size_t>(size));
    REQUIRE(waitpid(child, nullptr, 0) == child);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    const Catalog::LaneWant want{.lane = "move"};
    REQUIRE(value_of(catalog->take_jobs({&want, 1}, owner, std::time(nullptr), 100'000)).size() ==
            1);
    JobRunner runner(*catalog, quick());
    runner.handle("move", [](JobRun&) { return JobEnd::done(); });
    runner.start();
    CHECK(reaches(*catalog, id, State::done));
    CHECK(value_of(catalog->find_job(id))->attempts == 2);
}

TEST_CASE("job runner: who is cancelled or paused meanwhile is told so", "[storage][jobs]") {
    test::SqliteBackend backend;
    const auto catalog = backend.open();
    Tally tally;
    auto options = quick();
    options.lease_s = 124;  // four seconds more than the margin, and renewed every 31
    JobRunner runner(*catalog, options);
    runner.handle("long", [&](JobRun& run) {
        tally.add("begun");
        run.note(R"({"at":3})");
        while (run.goes_on())
            usleep(1000);  // tidy: allow sleep, it plays what takes long
        tally.add("ended");
        return JobEnd::put_off(0);
    });
    const JobId id = value_of(catalog->queue_job({.type = "long", .payload = "{}"}, 0));
    runner.start();
    REQUIRE(tally.wait_for("begun", 1));
    CHECK(value_of(catalog->set_job_state(id, State::cancelled, 5)));
    CHECK(tally.wait_for("ended", 1));  // by its lease, which is not renewed
    runner.stop();
    CHECK(value_of(catalog->find_job(id))->state == State::cancelled);
}

TEST_CASE("job owner: who lives is told from who has died", "[storage][jobs]") {
    const std::string mine = new_job_owner();
    CHECK(new_job_owner() != mine);
    CHECK_FALSE(has_ended(mine));
    CHECK_FALSE(has_ended("somebody"));
    CHECK_FALSE(has_ended(""));
    CHECK_FALSE(has_ended("another-boot/pid:[1] 1 2 abc"));  // of another machine
    const std::size_t first = mine.find(' ');
    CHECK(has_ended(mine.substr(0, first) + " 999999999 5 abc"));
    CHECK(has_ended(mine.substr(0, first) + " 1 5 abc"));  // the id, but of another process
}

TEST_CASE("job lanes: the pools that a lane's jobs work on", "[storage][jobs]") {
    CHECK(pools_of_lane("move 3>7") == std::vector<PoolId>{3, 7});
    CHECK(pools_of_lane("clean 3") == std::vector<PoolId>{3});
    CHECK(pools_of_lane("delete 3") == std::vector<PoolId>{3});
    CHECK(pools_of_lane("delete").empty());
    CHECK(pools_of_lane("move x>7").empty());
    CHECK(pools_of_lane("move 3>").size() == 1);
}
