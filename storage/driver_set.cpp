#include "storage/driver_set.h"

#include "conf/log.h"
#include "storage/make_driver.h"
#include "storage/mirrors.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

// Jobs come back to what fails by themselves, and must not be held up for longer than their leases
// allow (see JobRun::goes_on).
constexpr unsigned kTries = 4;
constexpr std::chrono::seconds kPatience{30};

}  // namespace

DriverSet::DriverSet(Catalog& catalog, std::string key_prefix, Make make)
    : catalog_(catalog), key_prefix_(std::move(key_prefix)), make_(std::move(make)) {}

DriverSet::~DriverSet() {
    exchange_budgets();
}

void DriverSet::use_pools(std::vector<KnownPool> pools) {
    Budgets left;
    catalog_.follow_rows(mirror_follower(pools));
    {
        const std::lock_guard lock(mutex_);
        pools_ = std::move(pools);
        mirrors_ = mirrors_among(pools_);
        std::erase_if(made_, [&](const auto& each) {
            const Made& made = each.second;
            const auto known = std::ranges::find(pools_, each.first, &KnownPool::id);
            if (known != pools_.end() && known->settings == made.settings) return false;
            std::erase_if(apart_, [&](const auto& pair) {
                return pair.first == each.first || pair.second == each.first;
            });
            if (made.budget) left.emplace_back(made.settings.name, made.budget);
            return true;
        });
    }
    exchange(left);
}

Result<DriverSet::Pool> DriverSet::find(PoolId pool) {
    KnownPool known;
    {
        const std::lock_guard lock(mutex_);
        const auto found = std::ranges::find(pools_, pool, &KnownPool::id);
        if (found != pools_.end()) {
            known = *found;
            const auto made = made_.find(pool);
            if (made != made_.end() && known.problem.empty())
                return Pool{known, made->second.driver, made->second.limited};
        }
    }
    if (known.id == 0) {
        return fail(ErrorKind::misconfigured,
                    fmt::format("pool {} is not in the configuration", name_of(pool)));
    }
    if (!known.problem.empty()) {
        return fail(ErrorKind::misconfigured,
                    fmt::format("pool {} cannot be used: {}", known.settings.name, known.problem));
    }
    Made fresh = make(known);
    const std::lock_guard lock(mutex_);
    const Made& made = made_.try_emplace(pool, std::move(fresh)).first->second;
    return Pool{std::move(known), made.driver, made.limited};
}

DriverSet::Made DriverSet::make(const KnownPool& pool) {
    Made made{.settings = pool.settings, .driver = {}, .limited = {}, .budget = {}};
    std::shared_ptr<StoreGate> gate;
    if (pool.settings.storage_type == conf::PoolSettings::Type::s3) {
        gate = std::make_shared<StoreGate>(pool.settings);
        made.budget = std::make_shared<SavedBudget>(catalog_, pool.id, gate);
        exchange({{pool.settings.name, made.budget}});
    }
    S3Limits limits;
    limits.retry.tries = kTries;
    limits.retry.budget = kPatience;
    limits.wait = [this](std::chrono::milliseconds time) { wait(time); };
    const auto make_one = [&](const S3Limits& with) {
        return make_ ? make_(pool.settings) : make_driver(pool.settings, key_prefix_, gate, with);
    };
    made.driver = make_one({});
    LimitedDriver::Limits pace{.bytes_per_second = pool.settings.job_bandwidth_bytes,
                               .requests_per_second = pool.settings.job_requests};
    if (gate && !make_ && pace.requests_per_second > 0) {
        pace.requests = std::make_shared<Pace>(pace.requests_per_second);
        limits.pace = [requests = pace.requests] { requests->wait_for(1); };
    }
    made.limited = std::make_shared<LimitedDriver>(make_one(limits), pace);
    return made;
}

Result<void> DriverSet::require_apart(const Pool& from, const Pool& to, std::string_view key) {
    const bool is_bucket = from.is_bucket();
    if (is_bucket != to.is_bucket()) return {};
    const std::pair<PoolId, PoolId> pair = std::minmax(from.known.id, to.known.id);
    // A folder's place may be mounted anew at any time, and to look there costs little.
    if (is_bucket) {
        const std::lock_guard lock(mutex_);
        if (apart_.contains(pair)) return {};
    }
    const auto look = [&](const Pool& pool) -> Result<std::optional<ObjectInfo>> {
        auto info = is_bucket ? pool.limited->head(key) : pool.driver->head(key);
        if (info) return std::optional(std::move(*info));
        // A key of the store that may not look there cannot have put it there either.
        const bool is_unseen =
            info.error().kind == ErrorKind::not_found || info.error().kind == ErrorKind::denied;
        if (is_unseen) return std::optional<ObjectInfo>();
        return std::unexpected(std::move(info.error()));
    };
    const auto there = look(to);
    if (!there) return std::unexpected(there.error());
    if (!*there && !is_bucket) return {};
    const auto here = look(from);
    if (!here) return std::unexpected(here.error());
    if (!*here) return {};  // which proves nothing
    if (*there && is_same_object(**here, **there)) {
        return fail(ErrorKind::misconfigured,
                    fmt::format("pools {} and {} are one place under two names: what both have at "
                                "{} is the same object; nothing was copied or removed. Remove one "
                                "of them, or give it a place of its own",
                                from.known.settings.name, to.known.settings.name, key));
    }
    if (!is_bucket) return {};
    const std::lock_guard lock(mutex_);
    apart_.insert(pair);
    return {};
}

std::vector<KnownPool> DriverSet::pools() const {
    const std::lock_guard lock(mutex_);
    return pools_;
}

PoolId DriverSet::mirror_of(PoolId pool) const {
    const std::lock_guard lock(mutex_);
    const auto found = mirrors_.find(pool);
    return found == mirrors_.end() ? 0 : found->second;
}

bool DriverSet::is_mirror(PoolId pool) const {
    const std::lock_guard lock(mutex_);
    return std::ranges::any_of(mirrors_, [pool](const auto& each) { return each.second == pool; });
}

std::optional<std::size_t> DriverSet::jobs_of(PoolId pool) const {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(pools_, pool, &KnownPool::id);
    if (found == pools_.end()) return std::nullopt;
    return found->settings.jobs;
}

std::string DriverSet::name_of(PoolId pool) {
    {
        const std::lock_guard lock(mutex_);
        const auto found = std::ranges::find(pools_, pool, &KnownPool::id);
        if (found != pools_.end()) return found->settings.name;
    }
    const auto rows = catalog_.pools();
    if (!rows) return "?";
    const auto row = std::ranges::find(*rows, pool, &PoolRecord::id);
    return row == rows->end() ? "?" : row->name;
}

void DriverSet::exchange_budgets() {
    Budgets budgets;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [id, made] : made_) {
            if (made.budget) budgets.emplace_back(made.settings.name, made.budget);
        }
    }
    exchange(budgets);
}

// What fails is made up for the next time; at the end the day is counted too low.
void DriverSet::exchange(const Budgets& budgets) {
    for (const auto& [pool, budget] : budgets) {
        if (const auto done = budget->exchange(std::time(nullptr)); !done)
            conf::log_warn("budget not exchanged pool={} reason=\"{}\"", pool, done.error().text);
    }
}

void DriverSet::wait(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    stopped_.wait_for(lock, time, [this] { return stopping_; });
}

void DriverSet::stop() {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    stopped_.notify_all();
    for (const auto& [id, made] : made_)
        made.limited->stop();
}

}  // namespace tidepool::storage
