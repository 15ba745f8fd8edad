// Variants that no pool has yet: made from their originals when they are first asked for, once for
// all who ask, and stored beside the original, from where on they are files like any other.
#pragma once

#include "conf/settings.h"
#include "proxy/http/counters.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/serve/file_finder.h"
#include "proxy/serve/variant_workers.h"
#include "storage/open_file.h"
#include "transform/format.h"
#include "transform/recipe.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace tidepool::serve {

// Shared by all loops. The work is led by one of them, its home; the processes are VariantWorkers'.
// Only originals of local pools are found.
class VariantMaker {
  public:
    // Both outlive it. What the settings say of variants holds until the end.
    VariantMaker(loop::Loop& home, FileFinder& finder, const conf::Settings& settings);
    // The home loop must have ended.
    ~VariantMaker();
    VariantMaker(const VariantMaker&) = delete;
    VariantMaker& operator=(const VariantMaker&) = delete;

    // On the home loop: see VariantWorkers.
    void start() { workers_.start(); }
    void stop(bool at_once) { workers_.stop(at_once); }

    // True for a key that a profile has. Pure; any thread.
    bool is_ordered(std::string_view key) const { return order_of(key).has_value(); }

    struct Outcome {
        std::optional<Error> error;
        // Where it was made and could not be stored; null where a pool has it now.
        std::shared_ptr<const storage::OpenFile> unstored;
        transform::Format format{};
    };
    // Makes the variant of this name, or waits for who does. On any loop. Errors:
    //   not_found   there is no original, or of this one the variant is not made
    //   corrupt     the original cannot be decoded; remembered for variants.failed_for
    //   too_large   it is beyond a limit; the same
    //   timed_out   not ready within variants.wait_timeout; the work goes on
    //   overloaded, closed and others: not now
    loop::Task<Outcome> make(loop::Loop& loop, std::string key);

    // For reading Outcome::unstored.
    loop::WorkerPool& readers() { return readers_; }

    // Any thread.
    const VariantCounters& counters(VariantLane lane) const { return workers_.counters(lane); }
    std::uint64_t stored() const { return stored_.value(); }
    std::uint64_t store_failures() const { return store_failures_.value(); }

  private:
    struct Flight;
    struct Waiter;
    struct Original;
    struct Failure {
        Error error;
        std::uint64_t until_ms = 0;
    };

    std::optional<transform::Order> order_of(std::string_view key) const;
    std::optional<Error> remembered_failure(const std::string& key, std::uint64_t now_ms);
    void remember(const std::string& key, const Error& error, std::uint64_t now_ms);
    void land(const std::string& key, Flight& flight, Outcome outcome);
    static loop::Task<> fly(VariantMaker& self, std::string key, std::shared_ptr<Flight> flight);
    loop::Task<Outcome> make_and_store(const std::string& key);
    loop::Task<Result<Original>> find_original(const std::string& key,
                                               const transform::Order& order);
    loop::Task<Result<VariantLane>> lane_of(const Original& original,
                                            const transform::Recipe& recipe);
    loop::Task<Result<void>> store(const Original& original, const std::string& key,
                                   const std::shared_ptr<const storage::OpenFile>& variant,
                                   std::string_view type);

    loop::Loop& home_;
    FileFinder& finder_;
    conf::Settings settings_;  // of variants and profiles; the rest is not looked at
    std::string key_prefix_;
    VariantWorkers workers_;
    loop::WorkerPool readers_;
    http::Counter stored_;
    http::Counter store_failures_;

    std::mutex mutex_;
    std::unordered_map<std::string, std::shared_ptr<Flight>> flights_;
    std::unordered_map<std::string, Failure> failures_;
};

}  // namespace tidepool::serve
