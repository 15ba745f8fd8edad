// With the real processes, and decoders that crash, hang and eat memory (transform/test_hooks.h).
#include "proxy/serve/variant_workers.h"

#include "tests/unit/transform/gallery.h"
#include "transform/content_type.h"
#include "transform/test_hooks.h"
#include "transform/worker/inspect.h"
#include "transform/worker_channel.h"

#include <csignal>
#include <cstdlib>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace tidepool;
using namespace tidepool::serve;
using namespace tidepool::test;
using transform::Format;
using transform::InspectDepth;

namespace {

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr std::uint64_t kMiB = 1024ULL * 1024;

VariantWorkers::Options options() {
    auto made = VariantWorkers::options_of({});
    made.lanes = {VariantWorkers::LaneLimits{1, 8}, VariantWorkers::LaneLimits{1, 8}};
    made.nice = 0;
    return made;
}

conf::Descriptor source_of(const std::string& bytes) {
    auto file = transform::make_sealed_file(bytes);
    REQUIRE(file);
    return std::move(*file);
}

std::string content_of(const MadeVariant& made) {
    std::string bytes(made.bytes, '\0');
    REQUIRE(pread(made.file.get(), bytes.data(), bytes.size(), 0) ==
            static_cast<ssize_t>(bytes.size()));
    return bytes;
}

// While it lives, whoever wants another descriptor is refused it.
class NoMoreDescriptors {
  public:
    NoMoreDescriptors() {
        getrlimit(RLIMIT_NOFILE, &before_);
        const rlimit none{0, before_.rlim_max};
        REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    }
    ~NoMoreDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
    NoMoreDescriptors(const NoMoreDescriptors&) = delete;
    NoMoreDescriptors& operator=(const NoMoreDescriptors&) = delete;

  private:
    rlimit before_{};
};

// Workers on a loop of this thread, and what is asked of them.
class Ground {
  public:
    explicit Ground(const VariantWorkers::Options& with, bool can_start = true)
        : workers(loop, with) {
        setenv(transform::kTestDecoderVariable, "1", 1);  // NOLINT(concurrency-mt-unsafe)
        if (!can_start) none.emplace();
        workers.start();
    }

    // Runs until all that was spawned has ended; `body` must stop the workers.
    void run(loop::Task<> body) {
        loop.tasks().spawn(std::move(body));
        loop.stop();
        loop.run();
    }

    loop::Task<Result<MadeVariant>> make(VariantLane lane, std::string bytes,
                                         transform::Recipe recipe) {
        const conf::Descriptor source = source_of(bytes);
        co_return co_await workers.make(lane, source.get(), bytes.size(), recipe);
    }
    loop::Task<Result<transform::Inspection>> inspect(std::string bytes, InspectDepth depth) {
        const conf::Descriptor source = source_of(bytes);
        co_return co_await workers.inspect(VariantLane::cheap, source.get(), bytes.size(),
                                           transform::limits_of({}), depth);
    }
    loop::Task<Result<MadeVariant>> make(std::string bytes) {
        const transform::Recipe webp = recipe(Format::webp, 32);
        co_return co_await make(VariantLane::cheap, std::move(bytes), webp);
    }
    const VariantCounters& cheap() const { return workers.counters(VariantLane::cheap); }
    const VariantCounters& dear() const { return workers.counters(VariantLane::dear); }

    loop::Loop loop;
    VariantWorkers workers;
    std::optional<NoMoreDescriptors> none;
};

std::string image() {
    return with_corners(64, 64).saved(".png");
}

// The job, then an image; what the job gave.
loop::Task<> make_then_image(Ground& ground, std::string bytes, std::optional<Error>& error,
                             bool& next_is_good) {
    const auto made = co_await ground.make(std::move(bytes));
    if (!made) error = made.error();
    const auto next = co_await ground.make(image());
    next_is_good = next.has_value();
    ground.workers.stop(false);
}

struct Outcome {
    std::optional<Error> error;
    bool next_is_good = false;
    std::uint64_t crashed = 0;
    std::uint64_t killed = 0;
    std::uint64_t recycled = 0;
    std::uint64_t started = 0;
};

// The inspection, then an image that is to be made; what the first gave.
loop::Task<> inspect_then_make(Ground& ground, std::string bytes, std::optional<Error>& error,
                               bool& next_is_good) {
    const auto seen = co_await ground.inspect(std::move(bytes), InspectDepth::structure);
    if (!seen) error = seen.error();
    const auto next = co_await ground.make(image());
    next_is_good = next.has_value();
    ground.workers.stop(false);
}

// What make_all gave for each recipe, in the order in which it came.
struct Answer {
    std::size_t index;
    std::string bytes;  // "" where `error` says why
    std::optional<ErrorKind> error;
    unsigned decodes = 0;
};

// Made at once of one source; then an image alone, which must work.
loop::Task<> make_all(Ground& ground, std::string source, std::vector<transform::Recipe> wanted,
                      std::vector<Answer>& answers) {
    {
        const conf::Descriptor file = source_of(source);
        co_await ground.workers.make_all(
            VariantLane::cheap, file.get(), source.size(), wanted,
            [&answers](std::size_t index, Result<MadeVariant> made) {
                if (made) {
                    answers.push_back({index, content_of(*made), std::nullopt, made->decodes});
                } else {
                    answers.push_back({index, "", made.error().kind});
                }
            });
    }
    const auto next = co_await ground.make(image());
    CHECK(next);
    ground.workers.stop(false);
}

std::vector<Answer> answers_of(Ground& ground, const std::string& source,
                               const std::vector<transform::Recipe>& wanted) {
    std::vector<Answer> answers;
    ground.run(make_all(ground, source, wanted, answers));
    REQUIRE(answers.size() == wanted.size());
    for (std::size_t i = 0; i < answers.size(); ++i)
        CHECK(answers[i].index == i);
    return answers;
}

std::vector<transform::Recipe> webps(std::initializer_list<unsigned> widths) {
    std::vector<transform::Recipe> all;
    for (const unsigned width : widths)
        all.push_back(recipe(Format::webp, width));
    return all;
}

using Story = loop::Task<> (*)(Ground&, std::string, std::optional<Error>&, bool&);

Outcome outcome_of(const std::string& source, const VariantWorkers::Options& with = options(),
                   Story story = make_then_image) {
    Ground ground(with);
    Outcome outcome;
    ground.run(story(ground, source, outcome.error, outcome.next_is_good));
    outcome.crashed = ground.cheap().crashed.value();
    outcome.killed = ground.cheap().killed.value();
    outcome.recycled = ground.cheap().recycled.value();
    outcome.started = ground.cheap().started.value();
    return outcome;
}

Outcome inspection_of(const std::string& source, const VariantWorkers::Options& with = options()) {
    return outcome_of(source, with, inspect_then_make);
}

}  // namespace

TEST_CASE("variant workers: they make what is asked of them, in both lanes", "[variants]") {
    Ground ground(options());
    std::vector<std::pair<Format, MadeVariant>> made;
    const auto body = [](Ground& on, auto& results) -> loop::Task<> {
        for (const Format format :
             {Format::webp, Format::jpeg, Format::png, Format::gif, Format::avif, Format::jxl}) {
            const bool dear = format == Format::avif || format == Format::jxl;
            auto result = co_await on.make(dear ? VariantLane::dear : VariantLane::cheap, image(),
                                           recipe(format, 32));
            INFO((result ? "" : result.error().text));
            CHECK(result);
            if (result) results.emplace_back(format, std::move(*result));
        }
        on.workers.stop(false);
    };
    ground.run(body(ground, made));
    REQUIRE(made.size() == 6);
    for (const auto& [format, variant] : made) {
        CAPTURE(name_of(format));
        CHECK(variant.width == 32);
        CHECK(variant.frames == 1);
        const std::string bytes = content_of(variant);
        CHECK(bytes == made_text(make_or_fail(image(), recipe(format, 32))));
    }
    const auto& webp = ground.cheap().formats[static_cast<std::size_t>(Format::webp)];
    CHECK(webp.made.value() == 1);
    CHECK(webp.source_bytes.value() == image().size());
    CHECK(webp.result_bytes.value() == made[0].second.bytes);
    CHECK(ground.cheap().crashed.value() == 0);
    CHECK(ground.cheap().started.value() == 1);
    CHECK(ground.dear().started.value() == 1);
}

TEST_CASE("variant workers: the sandbox changes nothing about what is made",
          "[variants][sandbox]") {
    Picture column = with_corners(300, 600);
    column.set("page-height", 200);
    Picture wide_gamut = with_corners(700, 500).in_profile("p3");
    wide_gamut.set("orientation", 6);
    const std::string sources[] = {
        wide_gamut.saved(".jpg[interlace]"),
        with_corners(400, 400).in_profile("cmyk").saved(".jpg"),
        with_corners(400, 300).in_space(VIPS_INTERPRETATION_RGB16).saved(".png[interlace]"),
        with_corners(400, 300).saved(".png[palette]"),
        with_corners(400, 300).saved(".heic"),
        with_corners(400, 300).saved(".avif[effort=0]"),
        with_corners(400, 300).in_space(VIPS_INTERPRETATION_GREY16).saved(".png"),
        Picture(300, 200, {9, 99, 199, 99}, 4).in_space(VIPS_INTERPRETATION_RGB16).saved(".png"),
        Picture(300, 200, {9, 99, 199, 99}, 4).saved(".webp"),
        Picture(300, 200, {9, 99, 199, 0}, 4).saved(".gif"),
        column.saved(".gif"),
        column.saved(".webp"),
    };
    std::vector<std::pair<std::string, transform::Recipe>> jobs;
    for (const std::string& source : sources) {
        for (const Format format : {Format::webp, Format::jpeg, Format::png, Format::avif}) {
            transform::Recipe each = recipe(format, 200, 150);
            if (format == Format::jpeg) {
                each.fit = conf::VariantProfile::Fit::cover;
                each.gravity = conf::VariantProfile::Gravity::attention;
                each.sharpen = 20;
            }
            jobs.emplace_back(source, each);
        }
    }
    Ground ground(options());
    const auto body = [](Ground& on, const auto& todo) -> loop::Task<> {
        for (const auto& [source, each] : todo) {
            const auto made = co_await on.make(VariantLane::cheap, source, each);
            INFO(transform::content_type_of(source)
                 << " to " << name_of(each.format) << ": " << (made ? "" : made.error().text));
            CHECK(made);
            if (!made) continue;
            CHECK(content_of(*made) == made_text(make_or_fail(source, each)));
        }
        on.workers.stop(false);
    };
    ground.run(body(ground, jobs));
    CHECK(ground.cheap().crashed.value() == 0);
}

TEST_CASE("variant workers: a crash costs one job", "[variants]") {
    const Outcome outcome = outcome_of("TEST:crash");
    REQUIRE(outcome.error);
    CHECK(outcome.error->kind == ErrorKind::corrupt);
    CHECK(outcome.next_is_good);
    CHECK(outcome.crashed == 1);
    CHECK(outcome.started == 2);
}

TEST_CASE("variant workers: one that hangs is killed at its deadline", "[variants]") {
    auto with = options();
    with.job_timeout = std::chrono::seconds(kSanitized ? 10 : 1);
    const Outcome outcome = outcome_of("TEST:hang", with);
    REQUIRE(outcome.error);
    CHECK(outcome.error->kind == ErrorKind::too_large);
    CHECK(outcome.next_is_good);
    CHECK(outcome.killed == 1);
}

TEST_CASE("variant workers: the cheap lane has a deadline of its own", "[variants]") {
    auto with = options();
    with.job_timeout = std::chrono::seconds(kSanitized ? 10 : 1);
    with.cheap_job_timeout = std::chrono::milliseconds(200);
    Ground ground(with);
    std::optional<Error> cheap;
    std::optional<Error> dear;
    const auto both = [](Ground& on, std::optional<Error>& of_cheap,
                         std::optional<Error>& of_dear) -> loop::Task<> {
        const transform::Recipe webp = recipe(Format::webp, 32);
        const auto first = co_await on.make(VariantLane::cheap, "TEST:doze", webp);
        if (!first) of_cheap = first.error();
        const auto second = co_await on.make(VariantLane::dear, "TEST:doze", webp);
        if (!second) of_dear = second.error();
        on.workers.stop(false);
    };
    ground.run(both(ground, cheap, dear));
    REQUIRE(cheap);
    REQUIRE(dear);
    CHECK(cheap->text == "more than 200ms to make it");
    CHECK(dear->text == (kSanitized ? "more than 10s to make it" : "more than 1s to make it"));

    const conf::VariantSettings usual;
    CHECK(usual.cheap_workers >= 2);  // so that one which hangs is not all of it
    CHECK(2 * usual.cheap_job_timeout <= usual.job_timeout);
}

TEST_CASE("variant workers: one that eats memory comes to its limit", "[variants]") {
    if (kSanitized) return;  // whose shadow memory has no limit
    auto with = options();
    with.memory_bytes = 200 * kMiB;
    const Outcome outcome = outcome_of("TEST:eat", with);
    REQUIRE(outcome.error);
    CHECK(outcome.error->kind == ErrorKind::too_large);
    CHECK(outcome.next_is_good);
}

TEST_CASE("variant workers: an AVIF that needs more memory than there is is too large",
          "[variants]") {
    if (kSanitized) return;  // whose shadow memory has no limit
    auto with = options();
    with.memory_bytes = 64 * kMiB;
    Ground ground(with);
    const std::string large = with_corners(3000, 2400).saved(".png");
    const auto body = [](Ground& on, const std::string& avif) -> loop::Task<> {
        const auto made = co_await on.make(VariantLane::dear, avif, recipe(Format::avif));
        REQUIRE_FALSE(made);
        CHECK(made.error().kind == ErrorKind::too_large);
        CHECK_THAT(made.error().text, Catch::Contains("memory than a worker may have"));
        const auto next = co_await on.make(VariantLane::dear, image(), recipe(Format::avif));
        CHECK(next);
        on.workers.stop(false);
    };
    ground.run(body(ground, large));
    CHECK(ground.dear().crashed.value() == 0);
    CHECK(ground.dear().started.value() == 1);
}

namespace {

// As somebody outside would, or the kernel, once it runs.
loop::Task<> kill_when_running(Ground& on, int number) {
    while (on.cheap().running == 0)
        co_await on.loop.yield();
    const auto ids = on.workers.process_ids(VariantLane::cheap);
    REQUIRE(ids.size() == 1);
    REQUIRE(kill(ids[0], number) == 0);
    while (on.cheap().running != 0)
        co_await on.loop.yield();
}

}  // namespace

TEST_CASE("variant workers: a job whose worker is killed from outside is done by the next one",
          "[variants]") {
    Ground ground(options());
    const auto body = [](Ground& on) -> loop::Task<> {
        const auto first = co_await on.make(image());
        CHECK(first);
        const auto ids = on.workers.process_ids(VariantLane::cheap);
        REQUIRE(ids.size() == 1);
        REQUIRE(kill(ids[0], SIGSTOP) == 0);  // so that it is killed with the job
        on.loop.tasks().spawn(kill_when_running(on, SIGKILL));
        const auto again = co_await on.make(image());
        CHECK(again);
        on.workers.stop(false);
    };
    ground.run(body(ground));
    CHECK(ground.cheap().crashed.value() == 1);
    CHECK(ground.cheap().undecodable.value() == 0);
    CHECK(ground.cheap().failed.value() == 0);
    CHECK(ground.cheap().started.value() == 2);
}

TEST_CASE("variant workers: killed from outside within a job, what is left of it is begun again",
          "[variants]") {
    Ground ground(options());
    std::vector<Answer> answers;
    const auto killer = [](Ground& on, std::vector<Answer>& so_far) -> loop::Task<> {
        for (const std::size_t made : {1U, 2U}) {
            while (so_far.size() < made)
                co_await on.loop.yield();
            co_await kill_when_running(on, SIGKILL);
        }
    };
    ground.loop.tasks().spawn(killer(ground, answers));
    ground.run(make_all(ground, image() + "TEST:1:doze", webps({10, 20, 30}), answers));
    REQUIRE(answers.size() == 3);
    CHECK_FALSE(answers[0].error);
    // Sent alone, the second is the first of its job, and dozes no more.
    CHECK_FALSE(answers[1].error);
    CHECK(answers[2].error == ErrorKind::busy);
    CHECK(ground.cheap().crashed.value() == 2);
}

TEST_CASE(
    "variant workers: a job whose worker is killed from outside twice says nothing of its source",
    "[variants]") {
    Ground ground(options());
    const auto body = [](Ground& on) -> loop::Task<> {
        const auto killer = [](Ground& at) -> loop::Task<> {
            co_await kill_when_running(at, SIGKILL);
            co_await kill_when_running(at, SIGKILL);
        };
        on.loop.tasks().spawn(killer(on));
        const auto made = co_await on.make("TEST:doze");
        REQUIRE_FALSE(made);
        CHECK(made.error().kind == ErrorKind::busy);
        on.loop.tasks().spawn(killer(on));
        const auto seen = co_await on.inspect("TEST:doze", InspectDepth::structure);
        REQUIRE_FALSE(seen);
        CHECK(seen.error().kind == ErrorKind::busy);
        const auto next = co_await on.make(image());
        CHECK(next);
        on.workers.stop(false);
    };
    ground.run(body(ground));
    CHECK(ground.cheap().crashed.value() == 4);
    CHECK(ground.cheap().failed.value() == 1);
    CHECK(ground.cheap().undecodable.value() == 0);
}

TEST_CASE("variant workers: one that uses up its processor time is no crash", "[variants]") {
    Ground ground(options());
    const auto body = [](Ground& on) -> loop::Task<> {
        on.loop.tasks().spawn(kill_when_running(on, SIGXCPU));  // as the kernel does
        const auto made = co_await on.make("TEST:doze");
        REQUIRE_FALSE(made);
        CHECK(made.error().kind == ErrorKind::too_large);
        on.workers.stop(false);
    };
    ground.run(body(ground));
    CHECK(ground.cheap().killed.value() == 1);
    CHECK(ground.cheap().crashed.value() == 0);
}

TEST_CASE("variant workers: the sandbox lets nobody out", "[variants][sandbox]") {
    for (const char* const way : {"TEST:open", "TEST:fork"}) {
        if (kSanitized && std::string(way) == "TEST:fork") continue;
        CAPTURE(way);
        const Outcome outcome = outcome_of(way);
        REQUIRE(outcome.error);
        CHECK(outcome.error->kind == ErrorKind::corrupt);  // no image, that is all
        CHECK(outcome.crashed == 0);
        CHECK(outcome.next_is_good);
    }
    const std::pair<const char*, const char*> deadly[] = {{"TEST:socket", "signal 31"},
                                                          {"TEST:exec", "signal 31"},    // SIGSYS
                                                          {"TEST:hoard", "signal 25"}};  // SIGXFSZ
    for (const auto& [way, end] : deadly) {
        CAPTURE(way);
        const Outcome outcome = outcome_of(way);
        REQUIRE(outcome.error);
        CHECK_THAT(outcome.error->text, Catch::Contains(end));
        CHECK(outcome.crashed == 1);
        CHECK(outcome.next_is_good);
    }
}

TEST_CASE("variant workers: broken images and bombs are errors of the job alone", "[variants]") {
    const Outcome text = outcome_of("no image at all");
    REQUIRE(text.error);
    CHECK(text.error->kind == ErrorKind::corrupt);
    CHECK(text.crashed == 0);
    CHECK(text.started == 1);

    Ground ground(options());
    const auto body = [](Ground& on) -> loop::Task<> {
        transform::Recipe tight = recipe(Format::webp, 32);
        tight.limits.pixels = 64 * 64 - 1;
        const auto bomb = co_await on.make(VariantLane::cheap, image(), tight);
        REQUIRE_FALSE(bomb);
        CHECK(bomb.error().kind == ErrorKind::too_large);
        // A file that is shorter than was said: somebody cut it.
        const conf::Descriptor source = source_of(image());
        const transform::Recipe webp = recipe(Format::webp, 32);
        const auto cut =
            co_await on.workers.make(VariantLane::cheap, source.get(), image().size() + 1, webp);
        REQUIRE_FALSE(cut);
        CHECK(cut.error().kind == ErrorKind::busy);
        on.workers.stop(false);
    };
    ground.run(body(ground));
    CHECK(ground.cheap().too_large.value() == 1);
    CHECK(ground.cheap().failed.value() == 1);
    CHECK(ground.cheap().started.value() == 1);
}

TEST_CASE("variant workers: one that has done its jobs is replaced", "[variants]") {
    auto with = options();
    with.jobs = 2;
    Ground ground(with);
    std::vector<int> ids;
    const auto body = [](Ground& on, std::vector<int>& seen) -> loop::Task<> {
        for (int i = 0; i < 4; ++i) {
            const auto made = co_await on.make(image());
            CHECK(made);
            for (const int id : on.workers.process_ids(VariantLane::cheap))
                seen.push_back(id);
        }
        on.workers.stop(false);
    };
    ground.run(body(ground, ids));
    CHECK(ground.cheap().recycled.value() == 2);
    CHECK(std::set(ids.begin(), ids.end()).size() >= 2);
}

TEST_CASE("variant workers: one that keeps memory is replaced", "[variants]") {
    auto with = options();
    with.growth_bytes = 32 * kMiB;
    const Outcome outcome = outcome_of("TEST:keep", with);
    CHECK(outcome.recycled >= 1);
    CHECK(outcome.next_is_good);
}

TEST_CASE("variant workers: one that dies idle costs no job", "[variants]") {
    Ground ground(options());
    const auto body = [](Ground& on) -> loop::Task<> {
        const auto first = co_await on.make(image());
        CHECK(first);
        const auto ids = on.workers.process_ids(VariantLane::cheap);
        REQUIRE(ids.size() == 1);
        REQUIRE(kill(ids[0], SIGKILL) == 0);
        siginfo_t gone{};  // left for the workers to reap
        REQUIRE(waitid(P_PID, static_cast<id_t>(ids[0]), &gone, WEXITED | WNOWAIT) == 0);
        const auto second = co_await on.make(image());
        CHECK(second);
        on.workers.stop(false);
    };
    ground.run(body(ground));
    CHECK(ground.cheap().started.value() == 2);
}

TEST_CASE("variant workers: a full queue is an answer, and one lane does not hold up the other",
          "[variants]") {
    auto with = options();
    with.lanes[1] = {1, 1};
    with.job_timeout = std::chrono::seconds(60);
    Ground ground(with);
    std::vector<std::string> ends;
    const auto make_dear = [](Ground& on, std::vector<std::string>& to) -> loop::Task<> {
        const transform::Recipe avif = recipe(Format::avif, 32);
        const auto made = co_await on.make(VariantLane::dear, "TEST:hang", avif);
        to.push_back(made                                         ? "made"
                     : made.error().kind == ErrorKind::overloaded ? "full"
                     : made.error().kind == ErrorKind::closed     ? "closed"
                                                                  : "other");
    };
    const auto body = [&make_dear](Ground& on, std::vector<std::string>& to) -> loop::Task<> {
        on.loop.tasks().spawn(make_dear(on, to));
        while (on.dear().running == 0)
            co_await on.loop.yield();
        on.loop.tasks().spawn(make_dear(on, to));  // waits
        on.loop.tasks().spawn(make_dear(on, to));  // finds no room
        CHECK(on.dear().waiting == 1);
        CHECK(on.dear().refused.value() == 1);
        const auto cheap = co_await on.make(image());
        to.push_back(cheap ? "cheap" : "cheap failed");
        on.workers.stop(true);
    };
    ground.run(body(ground, ends));
    CHECK(ends == std::vector<std::string>{"full", "cheap", "closed", "closed"});
    CHECK(ground.dear().killed.value() == 0);
}

TEST_CASE("variant workers: where none can be started, who waits is told", "[variants]") {
    const std::string bytes = image();
    const conf::Descriptor source = source_of(bytes);
    Ground ground(options(), false);
    const auto body = [](Ground& on, int from, std::uint64_t size) -> loop::Task<> {
        const transform::Recipe webp = recipe(Format::webp, 32);
        const auto made = co_await on.workers.make(VariantLane::cheap, from, size, webp);
        CHECK_FALSE(made);
        on.workers.stop(false);
        const auto late = co_await on.workers.make(VariantLane::cheap, from, size, webp);
        REQUIRE_FALSE(late);
        CHECK(late.error().kind == ErrorKind::closed);
    };
    ground.run(body(ground, source.get(), bytes.size()));
    CHECK(ground.cheap().start_failures.value() >= 1);
    CHECK(ground.cheap().started.value() == 0);
}

namespace {

// Makes a variant of a source that is open, in the cheap lane.
loop::Task<> make_of(Ground& on, int source, std::size_t size, int& made) {
    const transform::Recipe webp = recipe(Format::webp, 32);
    const auto result = co_await on.workers.make(VariantLane::cheap, source, size, webp);
    CHECK(result);
    ++made;
}

}  // namespace

TEST_CASE("variant workers: processes start once they are needed", "[variants]") {
    auto with = options();
    with.lanes = {VariantWorkers::LaneLimits{3, 8}, VariantWorkers::LaneLimits{2, 8}};
    with.job_timeout = with.cheap_job_timeout = std::chrono::hours(1);  // one is stopped meanwhile
    Ground ground(with);
    const std::string bytes = image();
    const conf::Descriptor source = source_of(bytes);
    int made = 0;
    const auto body = [](Ground& on, int from, std::size_t size, int& count) -> loop::Task<> {
        for (int i = 0; i < 3; ++i)
            co_await make_of(on, from, size, count);
        CHECK(on.cheap().started.value() == 1);
        CHECK(on.dear().started.value() == 0);
        const auto first = on.workers.process_ids(VariantLane::cheap);
        REQUIRE(first.size() == 1);
        REQUIRE(kill(first[0], SIGSTOP) == 0);
        on.loop.tasks().spawn(make_of(on, from, size, count));
        while (on.cheap().running == 0)
            co_await on.loop.yield();

        // A second one cannot be started: that is nothing to who can wait for the first.
        on.none.emplace();
        on.loop.tasks().spawn(make_of(on, from, size, count));
        while (on.cheap().start_failures.value() == 0)
            co_await on.loop.yield();
        CHECK(count == 3);
        on.none.reset();
        while (count < 4)
            co_await on.loop.yield();
        CHECK(on.cheap().started.value() == 2);
        CHECK(on.workers.process_ids(VariantLane::cheap).size() == 2);
        REQUIRE(kill(first[0], SIGCONT) == 0);
        while (count < 5)
            co_await on.loop.yield();

        const transform::Recipe avif = recipe(Format::avif, 32);
        CHECK(co_await on.workers.make(VariantLane::dear, from, size, avif));
        CHECK(on.dear().started.value() == 1);
        on.workers.stop(false);
    };
    ground.run(body(ground, source.get(), bytes.size(), made));
    CHECK(made == 5);
    CHECK(ground.cheap().started.value() == 2);
    CHECK(ground.cheap().failed.value() == 0);
    CHECK(ground.cheap().crashed.value() == 0);
}

TEST_CASE("variant workers: what waits for both lanes before they start is done", "[variants]") {
    auto with = options();
    with.lanes = {VariantWorkers::LaneLimits{2, 1}, VariantWorkers::LaneLimits{2, 1}};
    loop::Loop loop;
    VariantWorkers workers(loop, with);
    const std::string bytes = image();
    const conf::Descriptor source = source_of(bytes);
    int made = 0;
    const auto early = [](VariantWorkers& by, VariantLane lane, int from, std::size_t size,
                          int& count) -> loop::Task<> {
        const transform::Recipe webp = recipe(Format::webp, 32);
        CHECK(co_await by.make(lane, from, size, webp));
        if (++count == 4) by.stop(false);
    };
    for (const VariantLane lane :
         {VariantLane::dear, VariantLane::dear, VariantLane::cheap, VariantLane::cheap})
        loop.tasks().spawn(early(workers, lane, source.get(), bytes.size(), made));
    workers.start();
    loop.stop();
    loop.run();
    CHECK(made == 4);
}

TEST_CASE("variant workers: several variants of one source come in their order, as if alone",
          "[variants]") {
    const std::string source = with_corners(640, 480).saved(".jpg");
    std::vector<transform::Recipe> wanted = webps({40, 100, 40});
    wanted.push_back(recipe(Format::jpeg, 100));
    wanted.push_back(recipe(Format::webp, 50));
    wanted.back().limits.result_bytes = 10;
    wanted.push_back(recipe(Format::png));
    wanted.push_back(recipe(Format::avif, 200));
    wanted.back().made_above = 640;
    wanted.push_back(recipe(Format::gif, 40));
    Ground ground(options());
    const auto answers = answers_of(ground, source, wanted);
    for (const std::size_t made : {0U, 1U, 2U, 3U, 5U, 7U}) {
        CAPTURE(made);
        REQUIRE_FALSE(answers[made].error);
        CHECK(answers[made].bytes == made_text(make_or_fail(source, wanted[made])));
    }
    CHECK(answers[4].error == ErrorKind::too_large);
    CHECK(answers[6].error == ErrorKind::not_found);
    // Shrunk by 8, by 2, by 4 and not at all.
    CHECK(answers[0].decodes == 1);
    CHECK(answers[2].decodes == 2);
    CHECK(answers[4].decodes == 0);  // as always without a result
    CHECK(answers[7].decodes == 4);
    const auto& webp = ground.cheap().formats[static_cast<std::size_t>(Format::webp)];
    CHECK(webp.made.value() == 4);  // and that of the image afterwards
    CHECK(ground.cheap().formats[static_cast<std::size_t>(Format::gif)].made.value() == 1);
    CHECK(ground.cheap().too_large.value() == 1);
    CHECK(ground.cheap().started.value() == 1);
    CHECK(ground.cheap().crashed.value() == 0);
}

TEST_CASE("variant workers: a crash in the middle leaves what was made before", "[variants]") {
    const std::string source = image() + "TEST:2:crash";
    Ground ground(options());
    const auto answers = answers_of(ground, source, webps({10, 20, 30, 40, 50}));
    CHECK(answers[0].bytes == made_text(make_or_fail(image(), recipe(Format::webp, 10))));
    CHECK(answers[1].bytes == made_text(make_or_fail(image(), recipe(Format::webp, 20))));
    CHECK(answers[2].error == ErrorKind::corrupt);
    CHECK(answers[3].error == ErrorKind::busy);  // nobody knows what they would be
    CHECK(answers[4].error == ErrorKind::busy);
    CHECK(ground.cheap().crashed.value() == 1);
    CHECK(ground.cheap().undecodable.value() == 1);
    CHECK(ground.cheap().failed.value() == 2);
    CHECK(ground.cheap().started.value() == 2);
}

TEST_CASE("variant workers: the deadline is that of each variant", "[variants]") {
    auto with = options();
    with.job_timeout = std::chrono::seconds(kSanitized ? 10 : 1);
    Ground ground(with);
    const auto answers = answers_of(ground, image() + "TEST:1:hang", webps({10, 20, 30}));
    CHECK_FALSE(answers[0].error);
    CHECK(answers[1].error == ErrorKind::too_large);
    CHECK(answers[2].error == ErrorKind::busy);
    CHECK(ground.cheap().killed.value() == 1);
    CHECK(ground.cheap().too_large.value() == 1);
}

TEST_CASE("variant workers: memory that one variant eats is no other's", "[variants]") {
    if (kSanitized) return;
    auto with = options();
    with.memory_bytes = 200 * kMiB;
    Ground ground(with);
    const auto answers = answers_of(ground, image() + "TEST:1:eat", webps({10, 20}));
    CHECK_FALSE(answers[0].error);
    CHECK(answers[1].error == ErrorKind::too_large);
}

TEST_CASE("variant workers: of too many variants at once none is made", "[variants]") {
    Ground ground(options());
    const std::vector<transform::Recipe> many(VariantWorkers::kMostAtOnce + 1,
                                              recipe(Format::webp, 10));
    const auto answers = answers_of(ground, image(), many);
    for (const Answer& answer : answers)
        CHECK(answer.error == ErrorKind::invalid);
    Ground fits(options());
    const auto good =
        answers_of(fits, image(), {VariantWorkers::kMostAtOnce, recipe(Format::webp, 10)});
    for (const Answer& answer : good)
        CHECK(answer.decodes == 1);
    Ground empty(options());
    CHECK(answers_of(empty, image(), {}).empty());
}

TEST_CASE("variant workers: stopping tells of every variant that waits", "[variants]") {
    Ground ground(options());
    std::vector<Answer> answers;
    const auto several = [](Ground& on, std::vector<Answer>& to) -> loop::Task<> {
        const conf::Descriptor file = source_of("TEST:hang");
        const auto wanted = webps({10, 20});
        co_await on.workers.make_all(VariantLane::cheap, file.get(), 9, wanted,
                                     [&to](std::size_t index, Result<MadeVariant> made) {
                                         CHECK_FALSE(made);
                                         to.push_back({index, "", made.error().kind});
                                     });
    };
    const auto body = [&several](Ground& on, std::vector<Answer>& to) -> loop::Task<> {
        on.loop.tasks().spawn(several(on, to));
        while (on.cheap().running == 0)
            co_await on.loop.yield();
        on.loop.tasks().spawn(several(on, to));  // waits
        on.workers.stop(true);
    };
    ground.run(body(ground, answers));
    REQUIRE(answers.size() == 4);
    for (const Answer& answer : answers)
        CHECK(answer.error == ErrorKind::closed);
}

TEST_CASE("variant workers: the sandbox changes nothing about what is seen",
          "[variants][inspect][sandbox]") {
    Picture column = with_corners(300, 600);
    column.set("page-height", 200);
    Picture photograph = with_corners(700, 500).in_profile("p3");
    photograph.set("orientation", 6);
    photograph.set("exif-ifd0-Make", "Canon");
    photograph.set("exif-ifd2-DateTimeOriginal", "2026:02:25 13:14:15");
    const Picture with_alpha(300, 200, {9, 99, 199, 99}, 4);
    // BITMAPFILEHEADER and BITMAPINFOHEADER: 2 x 2 pixels of 24 bits.
    const std::string bitmap =
        std::string("BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\2\0\0\0\2\0\0\0\1\0\x18\0", 30) +
        std::string(24, '\0') + std::string(16, '\x77');
    const std::string sources[] = {
        photograph.saved(".jpg[interlace]"),
        photograph.saved(".webp"),
        photograph.saved(".png"),
        photograph.saved(".avif[effort=0]"),
        with_corners(400, 400).in_profile("cmyk").saved(".jpg"),
        with_corners(400, 300).in_space(VIPS_INTERPRETATION_RGB16).saved(".png[interlace]"),
        with_corners(400, 300).saved(".png[palette]"),
        with_corners(400, 300).saved(".heic"),
        with_corners(400, 300).in_space(VIPS_INTERPRETATION_GREY16).saved(".png"),
        with_alpha.saved(".png"),
        with_alpha.saved(".webp"),
        column.saved(".gif"),
        column.saved(".webp"),
        bitmap,
    };
    Ground ground(options());
    const auto body = [](Ground& on, const auto& todo) -> loop::Task<> {
        for (const std::string& source : todo) {
            for (const InspectDepth depth : {InspectDepth::structure, InspectDepth::pixels}) {
                const auto seen = co_await on.inspect(source, depth);
                const auto here = transform::inspect(source, transform::limits_of({}), depth);
                INFO(transform::content_type_of(source) << (seen ? "" : ": " + seen.error().text));
                CHECK(seen);
                REQUIRE(here);
                if (!seen) continue;
                CHECK(seen->type.view() == here->type.view());
                CHECK(seen->width == here->width);
                CHECK(seen->height == here->height);
                CHECK(seen->frames == here->frames);
                CHECK(seen->orientation == here->orientation);
                CHECK(seen->has_alpha == here->has_alpha);
                CHECK(seen->make.view() == here->make.view());
                CHECK(seen->taken.view() == here->taken.view());
                CHECK(seen->blur_hash.view() == here->blur_hash.view());
            }
        }
        on.workers.stop(false);
    };
    ground.run(body(ground, sources));
    CHECK(ground.cheap().inspections.done.value() == 2 * std::size(sources));
    CHECK(ground.cheap().inspections.time_us.value() > 0);
    CHECK(ground.cheap().crashed.value() == 0);
    CHECK(ground.cheap().started.value() == 1);
}

TEST_CASE("variant workers: an inspection that crashes, hangs or eats costs itself alone",
          "[variants][inspect]") {
    const Outcome crash = inspection_of("TEST:crash");
    REQUIRE(crash.error);
    CHECK(crash.error->kind == ErrorKind::corrupt);
    CHECK(crash.next_is_good);
    CHECK(crash.crashed == 1);
    CHECK(crash.started == 2);

    auto with = options();
    with.job_timeout = std::chrono::seconds(kSanitized ? 10 : 1);
    const Outcome hang = inspection_of("TEST:hang", with);
    REQUIRE(hang.error);
    CHECK(hang.error->kind == ErrorKind::too_large);
    CHECK(hang.next_is_good);
    CHECK(hang.killed == 1);

    const Outcome keep = inspection_of("TEST:keep");
    REQUIRE(keep.error);
    CHECK(keep.error->kind == ErrorKind::corrupt);  // no image
    CHECK(keep.next_is_good);

    for (const char* const way : {"TEST:open", "TEST:socket"}) {
        CAPTURE(way);
        const Outcome outcome = inspection_of(way);
        REQUIRE(outcome.error);
        CHECK(outcome.error->kind == ErrorKind::corrupt);
        CHECK(outcome.crashed == (std::string(way) == "TEST:socket" ? 1 : 0));
        CHECK(outcome.next_is_good);
    }
    if (kSanitized) return;
    with = options();
    with.memory_bytes = 200 * kMiB;
    const Outcome eat = inspection_of("TEST:eat", with);
    REQUIRE(eat.error);
    CHECK(eat.error->kind == ErrorKind::too_large);
    CHECK(eat.next_is_good);
}

TEST_CASE("variant workers: inspections stand in the queue of variants, and take no room there",
          "[variants][inspect]") {
    auto with = options();
    with.lanes[0] = {1, 1};
    Ground ground(with);
    std::vector<ErrorKind> ends;
    const auto look = [](Ground& on, std::vector<ErrorKind>& to) -> loop::Task<> {
        const auto seen = co_await on.inspect("TEST:hang", InspectDepth::structure);
        CHECK_FALSE(seen);
        if (!seen) to.push_back(seen.error().kind);
    };
    const auto make = [](Ground& on, std::vector<ErrorKind>& to) -> loop::Task<> {
        const auto made = co_await on.make(image());
        CHECK_FALSE(made);
        if (!made) to.push_back(made.error().kind);
    };
    const auto body = [&](Ground& on, std::vector<ErrorKind>& to) -> loop::Task<> {
        on.loop.tasks().spawn(look(on, to));
        while (on.cheap().running == 0)
            co_await on.loop.yield();
        on.loop.tasks().spawn(look(on, to));  // waits
        on.loop.tasks().spawn(look(on, to));  // waits, for it is not refused
        on.loop.tasks().spawn(make(on, to));  // waits, as inspections take no room of variants
        const auto made = co_await on.make(image());
        CHECK_FALSE(made);
        if (!made) to.push_back(made.error().kind);
        on.workers.stop(true);
        const auto late = co_await on.inspect(image(), InspectDepth::structure);
        CHECK_FALSE(late);
        if (!late) to.push_back(late.error().kind);
    };
    ground.run(body(ground, ends));
    CHECK(ends == std::vector<ErrorKind>{ErrorKind::overloaded, ErrorKind::closed,
                                         ErrorKind::closed, ErrorKind::closed, ErrorKind::closed,
                                         ErrorKind::closed});
    CHECK(ground.cheap().refused.value() == 1);
    CHECK(ground.cheap().failed.value() == 0);  // those are variants

    Ground good(options());
    const auto mixed = [](Ground& on) -> loop::Task<> {
        const auto text = co_await on.inspect("no image", InspectDepth::structure);
        CHECK_FALSE(text);
        const auto seen = co_await on.inspect(image(), InspectDepth::pixels);
        CHECK(seen);
        const auto made = co_await on.make(image());
        CHECK(made);
        // A file that is shorter than was said: somebody cut it.
        const conf::Descriptor source = source_of(image());
        const auto cut =
            co_await on.workers.inspect(VariantLane::cheap, source.get(), image().size() + 1,
                                        transform::limits_of({}), InspectDepth::structure);
        REQUIRE_FALSE(cut);
        CHECK(cut.error().kind == ErrorKind::busy);
        transform::Limits tight = transform::limits_of({});
        tight.source_bytes = 10;
        const auto large = co_await on.workers.inspect(
            VariantLane::cheap, source.get(), image().size(), tight, InspectDepth::structure);
        REQUIRE_FALSE(large);
        CHECK(large.error().kind == ErrorKind::too_large);
        on.workers.stop(false);
    };
    good.run(mixed(good));
    CHECK(good.cheap().inspections.done.value() == 1);
    CHECK(good.cheap().inspections.unfit.value() == 2);
    CHECK(good.cheap().inspections.failed.value() == 1);
    CHECK(good.cheap().undecodable.value() == 0);
    CHECK(good.cheap().too_large.value() == 0);
    CHECK(good.cheap().formats[static_cast<std::size_t>(Format::webp)].made.value() == 1);
    CHECK(good.cheap().started.value() == 1);
}

TEST_CASE("variant workers: no picture holds up the look at a structure", "[variants][inspect]") {
    auto with = options();
    with.spare_kept = std::chrono::milliseconds(100);
    Ground ground(with);
    const auto make = [](Ground& on, std::string bytes) -> loop::Task<> {
        const auto made = co_await on.make(std::move(bytes));
        CHECK_FALSE(made);
        if (!made) CHECK(made.error().kind == ErrorKind::closed);
    };
    const auto body = [&make](Ground& on) -> loop::Task<> {
        on.loop.tasks().spawn(make(on, "TEST:doze"));
        while (on.cheap().running == 0)
            co_await on.loop.delay(1);
        on.loop.tasks().spawn(make(on, image()));
        co_await on.loop.delay(1);
        // What the other process does is a look at a structure and nothing else; it goes when there
        // is none, and comes again.
        for (int i = 0; i < 2; ++i) {
            for (int look = 0; look < 3; ++look)
                CHECK(co_await on.inspect(image(), InspectDepth::structure));
            CHECK(on.cheap().running == 1);
            CHECK(on.cheap().waiting == 1);
            CHECK(on.workers.process_ids(VariantLane::cheap).size() == 2);
            while (on.workers.process_ids(VariantLane::cheap).size() == 2)
                co_await on.loop.delay(5);
        }
        on.workers.stop(true);
    };
    ground.run(body(ground));
    CHECK(ground.cheap().inspections.done.value() == 6);
    CHECK(ground.cheap().started.value() == 3);
    CHECK(ground.cheap().crashed.value() == 0);
}

TEST_CASE("variant workers: looks at structures go before all that waits, by the same processes",
          "[variants][inspect]") {
    auto with = options();
    with.cheap_job_timeout = std::chrono::milliseconds(200);
    Ground ground(with);
    std::vector<std::string> order;
    const auto look = [](Ground& on, InspectDepth depth, std::string name,
                         std::vector<std::string>& to) -> loop::Task<> {
        CHECK(co_await on.inspect(image(), depth));
        to.push_back(std::move(name));
    };
    const auto make = [](Ground& on, std::string name,
                         std::vector<std::string>& to) -> loop::Task<> {
        CHECK(co_await on.make(image()));
        to.push_back(std::move(name));
        on.workers.stop(false);
    };
    const auto body = [&](Ground& on, std::vector<std::string>& to) -> loop::Task<> {
        const auto wait = [&on]() -> loop::Task<> {
            while (on.cheap().running == 0)
                co_await on.loop.yield();
        };
        const auto doze = [](Ground& at) -> loop::Task<> {
            CHECK_FALSE(co_await at.make("TEST:doze"));
        };
        on.loop.tasks().spawn(doze(on));
        co_await wait();
        on.loop.tasks().spawn(look(on, InspectDepth::pixels, "pixels", to));
        on.loop.tasks().spawn(make(on, "variant", to));
        on.loop.tasks().spawn(look(on, InspectDepth::structure, "first", to));
        on.loop.tasks().spawn(look(on, InspectDepth::structure, "second", to));
    };
    ground.run(body(ground, order));
    CHECK(order == std::vector<std::string>{"first", "second", "pixels", "variant"});
    // One was killed, and none is started for looks while the next one is on its way.
    CHECK(ground.cheap().started.value() == 2);
}
