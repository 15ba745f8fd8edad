// With the real processes, from the workers' loop and from another one.
#include "proxy/serve/inspector.h"

#include "proxy/serve/memory_file.h"
#include "tests/unit/transform/gallery.h"
#include "transform/test_hooks.h"
#include "transform/worker_channel.h"

#include <atomic>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::serve;
using namespace tidepool::test;
using transform::InspectDepth;
using transform::Inspection;

namespace {

VariantWorkers::Options options() {
    auto made = VariantWorkers::options_of({});
    made.lanes = {VariantWorkers::LaneLimits{1, 8}, VariantWorkers::LaneLimits{1, 8}};
    made.nice = 0;
    return made;
}

std::shared_ptr<const storage::OpenFile> file_of(const std::string& bytes) {
    auto file = transform::make_sealed_file(bytes);
    REQUIRE(file);
    return open_memory_file(std::move(*file));
}

// The inspector with a home loop on this thread, and another loop on one of its own.
class House {
  public:
    House()
        : workers(home, options()),
          readers("w:test", 1, 8),
          inspector(home, workers, readers, transform::limits_of({})) {
        setenv(transform::kTestDecoderVariable, "1", 1);  // NOLINT(concurrency-mt-unsafe)
        workers.start();
    }

    // Runs `body` on the other loop, and the home loop until that is done.
    void run_elsewhere(loop::Task<> body) {
        other.tasks().spawn(follow(*this, std::move(body)));
        other.stop();
        home.tasks().spawn(wait(*this));
        home.stop();
        std::thread thread([this] { other.run(); });
        home.run();
        thread.join();
    }
    // On the home loop; called by the tests' bodies on any.
    void stop(bool at_once) {
        home.post([this, at_once] {
            inspector.stop();
            workers.stop(at_once);
        });
    }

    loop::Loop home;
    loop::Loop other;
    VariantWorkers workers;
    loop::WorkerPool readers;
    Inspector inspector;

  private:
    static loop::Task<> follow(House& self, loop::Task<> body) {
        co_await self.other.yield();  // it is begun on another thread
        co_await std::move(body);
        self.is_done = true;
    }
    static loop::Task<> wait(House& self) {
        while (!self.is_done)
            co_await self.home.delay(5);
    }

    std::atomic<bool> is_done = false;
};

std::string picture() {
    return with_corners(90, 60).saved(".png");
}

}  // namespace

TEST_CASE("inspector: whoever asks is answered on their own loop", "[inspect][variants]") {
    House house;
    const auto body = [](House& on) -> loop::Task<> {
        const auto here = std::this_thread::get_id();
        Picture column = with_corners(60, 80);
        column.set("page-height", 40);
        for (const std::string& source :
             {picture(), column.saved(".gif"), std::string("no image")}) {
            for (const InspectDepth depth : {InspectDepth::structure, InspectDepth::pixels}) {
                const auto file = file_of(source);
                const auto seen = co_await on.inspector.inspect(on.other, file, depth);
                CHECK(std::this_thread::get_id() == here);
                CHECK(seen.has_value() == (source != "no image"));
                if (!seen) CHECK(seen.error().kind == ErrorKind::corrupt);
            }
        }
        on.stop(false);
    };
    house.run_elsewhere(body(house));
    const auto& cheap = house.workers.counters(VariantLane::cheap).inspections;
    const auto& dear = house.workers.counters(VariantLane::dear).inspections;
    CHECK(cheap.done.value() == 3);  // all heads, and pixels that are soon there
    CHECK(cheap.unfit.value() == 2);
    CHECK(dear.done.value() == 1);  // of the animation
}

TEST_CASE("inspector: it is asked from its home loop, too", "[inspect][variants]") {
    House house;
    std::optional<Inspection> got;
    const auto body = [](House& on, std::optional<Inspection>& to) -> loop::Task<> {
        const auto file = file_of(picture());
        const auto seen = co_await on.inspector.inspect(on.home, file, InspectDepth::pixels);
        CHECK(seen);
        if (seen) to = *seen;
        on.stop(false);
    };
    house.home.tasks().spawn(body(house, got));
    house.home.stop();
    house.home.run();
    REQUIRE(got);
    CHECK(got->width == 90);
}

TEST_CASE("inspector: many at once from another loop all come back", "[inspect][variants]") {
    House house;
    unsigned seen_well = 0;
    unsigned overloaded = 0;
    const auto one = [](House& on, unsigned& well, unsigned& full) -> loop::Task<> {
        const auto file = file_of(picture());
        const auto seen = co_await on.inspector.inspect(on.other, file, InspectDepth::structure);
        if (seen) ++well;
        if (!seen && seen.error().kind == ErrorKind::overloaded) ++full;
    };
    const auto body = [&one](House& on, unsigned& well, unsigned& full) -> loop::Task<> {
        for (int i = 0; i < 40; ++i)
            on.other.tasks().spawn(one(on, well, full));
        while (well + full < 40)
            co_await on.other.delay(5);
        on.stop(false);
    };
    house.run_elsewhere(body(house, seen_well, overloaded));
    CHECK(seen_well >= 8);  // as many as may wait
    CHECK(overloaded == house.workers.counters(VariantLane::cheap).refused.value());
}

TEST_CASE("inspector: stopping ends what runs, waits and comes later", "[inspect][variants]") {
    House house;
    std::vector<ErrorKind> ends;
    const auto hang = [](House& on, std::vector<ErrorKind>& to) -> loop::Task<> {
        const auto file = file_of("TEST:hang");
        const auto seen = co_await on.inspector.inspect(on.other, file, InspectDepth::structure);
        CHECK_FALSE(seen);
        if (!seen) to.push_back(seen.error().kind);
    };
    const auto body = [&hang](House& on, std::vector<ErrorKind>& to) -> loop::Task<> {
        on.other.tasks().spawn(hang(on, to));
        while (on.workers.counters(VariantLane::cheap).running == 0)
            co_await on.other.delay(5);
        on.other.tasks().spawn(hang(on, to));  // waits for the worker
        on.stop(true);
        on.other.tasks().spawn(hang(on, to));  // before or after it has stopped
        while (to.size() < 3)
            co_await on.other.delay(5);
        const auto file = file_of(picture());
        const auto late = co_await on.inspector.inspect(on.other, file, InspectDepth::pixels);
        CHECK_FALSE(late);
        if (!late) to.push_back(late.error().kind);
    };
    house.run_elsewhere(body(house, ends));
    CHECK(ends == std::vector<ErrorKind>(4, ErrorKind::closed));
}

TEST_CASE("inspector: what the home loop never came to is ended by its stop", "[inspect]") {
    House house;
    std::optional<ErrorKind> end;
    const auto body = [](House& on, std::optional<ErrorKind>& to) -> loop::Task<> {
        const auto file = file_of(picture());
        const auto seen = co_await on.inspector.inspect(on.other, file, InspectDepth::structure);
        if (!seen) to = seen.error().kind;
    };
    house.other.tasks().spawn(body(house, end));
    house.other.stop();
    CHECK_FALSE(end);
    house.inspector.stop();  // the home loop has not run yet
    house.workers.stop(true);
    house.other.run();
    CHECK(end == ErrorKind::closed);
    house.home.stop();
    house.home.run();
}
