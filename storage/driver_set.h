// The pools that there are, and a driver for each, made at its first use.
#pragma once

#include "storage/catalog.h"
#include "storage/driver.h"
#include "storage/known_pool.h"
#include "storage/limited_driver.h"
#include "storage/saved_budget.h"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidepool::storage {

// Shared by threads. The catalog outlives it.
class DriverSet {
  public:
    // Makes the driver of a pool; for tests.
    using Make = std::function<std::unique_ptr<Driver>(const conf::PoolSettings&)>;
    // `key_prefix`: what keys have in front of their place below a folder ("uploads/").
    DriverSet(Catalog& catalog, std::string key_prefix, Make make = {});
    ~DriverSet();
    DriverSet(const DriverSet&) = delete;
    DriverSet& operator=(const DriverSet&) = delete;

    // From now on there are these, and the catalog has copied what comes to one that is mirrored. A
    // driver stays as long as its pool's settings do; who has one may go on with it.
    void use_pools(std::vector<KnownPool> pools);

    struct Pool {
        KnownPool known;
        std::shared_ptr<Driver> driver;          // for who waits for it
        std::shared_ptr<LimitedDriver> limited;  // for background work: paced, and soon to give up

        bool is_bucket() const {
            return known.settings.storage_type == conf::PoolSettings::Type::s3;
        }
    };
    // Misconfigured where there is none of this id that can be used, with the name that it had.
    // Blocks on the catalog for a new one.
    Result<Pool> find(PoolId pool);
    std::vector<KnownPool> pools() const;
    // The pool that has copies of this one's objects; 0: none.
    PoolId mirror_of(PoolId pool) const;
    bool is_mirror(PoolId pool) const;
    // Misconfigured where `to` is the same place as `from` under another name, by what both have at
    // this key of an object that is in `from`: a copy would be made over what it is made of, and
    // who then cleans up removes both. To be asked before anything is copied from one to the other,
    // or removed from one for being in the other. Costs buckets a call or two until it is proved.
    Result<void> require_apart(const Pool& from, const Pool& to, std::string_view key);
    // PoolSettings::jobs; nothing where there is no such pool.
    std::optional<std::size_t> jobs_of(PoolId pool) const;
    // "?" where it was never known.
    std::string name_of(PoolId pool);

    // Writes what the drivers used of their pools' budgets, and takes in what others used. To be
    // called now and then; done at the end by itself. Blocks on the catalog.
    void exchange_budgets();
    // Background work waits for no limit, and before no retry, any more.
    void stop();

  private:
    struct Made {
        conf::PoolSettings settings;
        std::shared_ptr<Driver> driver;
        std::shared_ptr<LimitedDriver> limited;
        std::shared_ptr<SavedBudget> budget;  // null: none is kept of it
    };
    // Budgets by their pools' names.
    using Budgets = std::vector<std::pair<std::string, std::shared_ptr<SavedBudget>>>;
    static void exchange(const Budgets& budgets);
    Made make(const KnownPool& pool);
    void wait(std::chrono::milliseconds time);

    Catalog& catalog_;
    const std::string key_prefix_;
    const Make make_;
    mutable std::mutex mutex_;
    std::vector<KnownPool> pools_;
    std::map<PoolId, PoolId> mirrors_;
    std::map<PoolId, Made> made_;
    std::set<std::pair<PoolId, PoolId>> apart_;  // buckets that were proved to be two
    bool stopping_ = false;
    std::condition_variable stopped_;
};

}  // namespace tidepool::storage
