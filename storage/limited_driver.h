// A pool's driver as background work uses it: no faster than the pool's settings allow.
#pragma once

#include "storage/driver.h"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

namespace tidepool::storage {

// So many units a second, on average; what was not used is kept for up to a second. Any thread.
class Pace {
  public:
    using Clock = std::chrono::steady_clock;
    // 0 = no limit.
    explicit Pace(double per_second) : per_second_(per_second) {}

    // Counts them and gives how long the caller has to wait before it goes on.
    Clock::duration take(double units, Clock::time_point now);
    // The same, and waits; until stop(), after which nobody waits any more.
    void wait_for(double units);
    void stop();

  private:
    const double per_second_;
    std::mutex mutex_;
    std::condition_variable stopped_;
    bool stopping_ = false;
    Clock::time_point free_at_{};  // when all that was taken will have been allowed
};

// Passes calls on to another driver, each when the pool's pace allows it: requests when they begin,
// bytes as they pass. What that driver does by itself (its own tries, the parts of an upload)
// counts as one request, unless it counts its requests by itself. Any thread.
class LimitedDriver final : public Driver {
  public:
    struct Limits {
        std::uint64_t bytes_per_second = 0;  // 0 = no limit
        unsigned requests_per_second = 0;    // the same
        std::shared_ptr<Pace> requests{};    // in place of that: the driver waits for it by itself
    };
    LimitedDriver(std::shared_ptr<Driver> driver, const Limits& limits);

    // Nobody waits any more.
    void stop();

    const std::string& pool() const override { return driver_->pool(); }
    Result<ObjectInfo> put(std::string_view key, ByteSource& source,
                           const PutOptions& options) override;
    Result<std::optional<ObjectInfo>> put_pushed(std::string_view key, const Fill& fill,
                                                 const PutOptions& options) override;
    Result<ObjectInfo> get(std::string_view key, const GetRange& range, ByteSink& sink) override;
    std::unique_ptr<ByteSource> source(std::string_view key) override;
    Result<ObjectInfo> head(std::string_view key) override;
    Result<void> settle(std::string_view key) override { return driver_->settle(key); }
    Result<void> remove(std::string_view key) override;
    Result<ListPage> list(std::string_view prefix, const std::string& next,
                          std::size_t limit) override;
    Result<std::optional<ObjectInfo>> copy_within_store(Driver& from, std::string_view key,
                                                        std::string_view to_key,
                                                        const PutOptions& options) override;
    Result<VersionPage> list_versions(std::string_view prefix, const std::string& next) override;
    Result<void> remove_version(std::string_view key, std::string_view version_id) override;
    Result<void> remove_older_versions(std::string_view key, std::string_view version_id) override;
    Result<Strays> sweep_strays(std::int64_t before_s, bool only_count) override;
    Result<void> set_aside(std::string_view key, const ObjectInfo& info,
                           std::string_view folder) override;
    Result<Space> space() override;
    Result<std::vector<std::string>> check(bool for_writing) override;

  private:
    const std::shared_ptr<Driver> driver_;
    const std::shared_ptr<Pace> own_requests_;  // the driver's own; null: there is none
    Pace requests_;
    Pace bytes_;
};

}  // namespace tidepool::storage
