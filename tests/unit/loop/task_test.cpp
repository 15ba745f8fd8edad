#include "proxy/loop/task.h"

#include "proxy/loop/task_group.h"

#include <coroutine>
#include <csignal>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/wait.h>
#include <unistd.h>

using namespace tidepool::loop;

namespace {

// Something to wait for, done when the test says so.
class Gate {
  public:
    bool await_ready() const noexcept { return open_; }
    void await_suspend(std::coroutine_handle<> waiter) noexcept { waiter_ = waiter; }
    void await_resume() const noexcept {}

    bool waited_for() const { return waiter_ != nullptr; }
    void open() {
        open_ = true;
        if (waiter_) std::exchange(waiter_, nullptr).resume();
    }

  private:
    bool open_ = false;
    std::coroutine_handle<> waiter_;
};

Task<int> number(int value) {
    co_return value;
}

Task<int> number_behind(Gate& gate, int value) {
    co_await gate;
    co_return value;
}

Task<std::int64_t> sum_to(int last) {
    std::int64_t sum = 0;
    for (int i = 1; i <= last; ++i) {
        const int next = co_await number(i);
        sum += next;
    }
    co_return sum;
}

Task<> note(std::vector<std::string>& notes, Gate& gate, std::string name) {
    notes.push_back(name + " begins");
    co_await gate;
    notes.push_back(name + " ends");
}

template <class T>
Task<> keep(Task<T> task, T& into) {
    into = co_await std::move(task);
}

// The signal by which a child process ends that runs `call`, or 0.
template <class Call>
int signal_of(const Call& call) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        // Catch would report the abort as the test's, and a sanitizer would slow it down.
        std::signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        call();
        _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace

TEST_CASE("task: nothing runs before it is awaited", "[loop][task]") {
    std::vector<std::string> notes;
    Gate gate;
    TaskGroup group;
    {
        const Task<> never_awaited = note(notes, gate, "a");
        CHECK(notes.empty());
    }
    Task<> task = note(notes, gate, "b");
    CHECK(notes.empty());
    group.spawn(std::move(task));
    CHECK(notes == std::vector<std::string>{"b begins"});
    gate.open();
    CHECK(notes == std::vector<std::string>{"b begins", "b ends"});
}

TEST_CASE("task: what its coroutine took is freed whether it ran or not", "[loop][task]") {
    const auto token = std::make_shared<int>(7);
    const auto use = [](std::shared_ptr<int> kept) -> Task<int> { co_return *kept; };
    {
        const Task<int> task = use(token);
        CHECK(token.use_count() == 2);
    }
    CHECK(token.use_count() == 1);
    int got = 0;
    TaskGroup group;
    group.spawn(keep(use(token), got));
    CHECK(got == 7);
    CHECK(token.use_count() == 1);
}

TEST_CASE("task: a child's value comes back, at once or later", "[loop][task]") {
    TaskGroup group;
    int at_once = 0;
    group.spawn(keep(number(3), at_once));
    CHECK(at_once == 3);
    Gate gate;
    int later = 0;
    group.spawn(keep(number_behind(gate, 4), later));
    CHECK(later == 0);
    CHECK(gate.waited_for());
    CHECK(group.running() == 1);
    gate.open();
    CHECK(later == 4);
    CHECK(group.running() == 0);
}

TEST_CASE("task: a value need not be copied or made without one", "[loop][task]") {
    struct Only {
        explicit Only(int value) : number(std::make_unique<int>(value)) {}
        std::unique_ptr<int> number;
    };
    const auto make = []() -> Task<Only> { co_return Only(5); };
    int got = 0;
    const auto use = [&]() -> Task<> {
        const Only only = co_await make();
        got = *only.number;
    };
    TaskGroup group;
    group.spawn(use());
    CHECK(got == 5);
}

TEST_CASE("task: children that end at once do not grow the stack", "[loop][task]") {
    std::int64_t sum = 0;
    TaskGroup group;
    group.spawn(keep(sum_to(1'000'000), sum));
    CHECK(sum == 500'000'500'000);
}

TEST_CASE("task: an exception that leaves a coroutine ends the process", "[loop][task]") {
    CHECK(signal_of([] {
              const auto fails = []() -> Task<> {
                  throw std::runtime_error("a programming error");
                  co_return;
              };
              TaskGroup group;
              group.spawn(fails());
          }) == SIGABRT);
    // The control: a coroutine that catches it goes on.
    CHECK(signal_of([] {
              const auto copes = []() -> Task<> {
                  try {
                      throw std::runtime_error("an expected one");
                  } catch (const std::runtime_error&) {
                  }
                  co_return;
              };
              TaskGroup group;
              group.spawn(copes());
          }) == 0);
}

TEST_CASE("task group: tasks run to their first wait at once and are counted to their end",
          "[loop][task]") {
    TaskGroup group;
    CHECK(group.running() == 0);
    std::vector<std::string> notes;
    Gate first;
    Gate second;
    group.spawn(note(notes, first, "a"));
    group.spawn(note(notes, second, "b"));
    CHECK(group.running() == 2);
    CHECK(notes == std::vector<std::string>{"a begins", "b begins"});
    second.open();
    CHECK(group.running() == 1);
    // One that has nothing to wait for is over when spawn() returns.
    group.spawn(note(notes, second, "c"));
    CHECK(group.running() == 1);
    first.open();
    CHECK(group.running() == 0);
    CHECK(notes == std::vector<std::string>{"a begins", "b begins", "b ends", "c begins", "c ends",
                                            "a ends"});
}

TEST_CASE("task group: a task may spawn another", "[loop][task]") {
    TaskGroup group;
    Gate gate;
    std::vector<std::string> notes;
    const auto parent = [&]() -> Task<> {
        group.spawn(note(notes, gate, "child"));
        notes.emplace_back("parent ends");
        co_return;
    };
    group.spawn(parent());
    CHECK(group.running() == 1);
    gate.open();
    CHECK(group.running() == 0);
    CHECK(notes == std::vector<std::string>{"child begins", "parent ends", "child ends"});
}
