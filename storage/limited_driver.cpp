#include "storage/limited_driver.h"

#include <algorithm>
#include <utility>

namespace tidepool::storage {

namespace {

class PacedSource final : public ByteSource {
  public:
    PacedSource(ByteSource& source, Pace& pace) : source_(source), pace_(pace) {}
    // Each reading from the start is a request.
    PacedSource(std::unique_ptr<ByteSource> source, Pace& pace, Pace& requests)
        : owned_(std::move(source)), source_(*owned_), pace_(pace), requests_(&requests) {}
    Result<std::size_t> read(std::span<char> into) override {
        if (requests_ != nullptr && is_at_start_) requests_->wait_for(1);
        is_at_start_ = false;
        auto got = source_.read(into);
        if (got) pace_.wait_for(static_cast<double>(*got));
        return got;
    }
    Result<void> rewind() override {
        is_at_start_ = true;
        return source_.rewind();
    }

  private:
    std::unique_ptr<ByteSource> owned_;  // null: somebody else's
    ByteSource& source_;
    Pace& pace_;
    Pace* requests_ = nullptr;
    bool is_at_start_ = true;
};

class PacedSink final : public ByteSink {
  public:
    PacedSink(ByteSink& sink, Pace& pace) : sink_(sink), pace_(pace) {}
    Result<void> write(std::span<const char> bytes) override {
        pace_.wait_for(static_cast<double>(bytes.size()));
        return sink_.write(bytes);
    }

  private:
    ByteSink& sink_;
    Pace& pace_;
};

}  // namespace

Pace::Clock::duration Pace::take(double units, Clock::time_point now) {
    if (per_second_ <= 0) return Clock::duration::zero();
    const std::lock_guard lock(mutex_);
    free_at_ = std::max(free_at_, now - std::chrono::seconds(1));
    free_at_ += std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(units / per_second_));
    return std::max(free_at_ - now, Clock::duration::zero());
}

void Pace::wait_for(double units) {
    const Clock::time_point now = Clock::now();
    const Clock::duration wait = take(units, now);
    if (wait <= Clock::duration::zero()) return;
    std::unique_lock lock(mutex_);
    stopped_.wait_until(lock, now + wait, [this] { return stopping_; });
}

void Pace::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    stopped_.notify_all();
}

LimitedDriver::LimitedDriver(std::shared_ptr<Driver> driver, const Limits& limits)
    : driver_(std::move(driver)),
      own_requests_(limits.requests),
      requests_(limits.requests ? 0 : limits.requests_per_second),
      bytes_(static_cast<double>(limits.bytes_per_second)) {}

void LimitedDriver::stop() {
    if (own_requests_) own_requests_->stop();
    requests_.stop();
    bytes_.stop();
}

Result<ObjectInfo> LimitedDriver::put(std::string_view key, ByteSource& source,
                                      const PutOptions& options) {
    requests_.wait_for(1);
    PacedSource paced(source, bytes_);
    return driver_->put(key, paced, options);
}

Result<std::optional<ObjectInfo>> LimitedDriver::put_pushed(std::string_view key, const Fill& fill,
                                                            const PutOptions& options) {
    const auto paced_fill = [&](ByteSink& sink) {
        requests_.wait_for(1);
        PacedSink paced(sink, bytes_);
        return fill(paced);
    };
    return driver_->put_pushed(key, paced_fill, options);
}

Result<ObjectInfo> LimitedDriver::get(std::string_view key, const GetRange& range, ByteSink& sink) {
    requests_.wait_for(1);
    PacedSink paced(sink, bytes_);
    return driver_->get(key, range, paced);
}

std::unique_ptr<ByteSource> LimitedDriver::source(std::string_view key) {
    return std::make_unique<PacedSource>(driver_->source(key), bytes_, requests_);
}

Result<ObjectInfo> LimitedDriver::head(std::string_view key) {
    requests_.wait_for(1);
    return driver_->head(key);
}

Result<void> LimitedDriver::remove(std::string_view key) {
    requests_.wait_for(1);
    return driver_->remove(key);
}

Result<ListPage> LimitedDriver::list(std::string_view prefix, const std::string& next,
                                     std::size_t limit) {
    requests_.wait_for(1);
    return driver_->list(prefix, next, limit);
}

Result<std::optional<ObjectInfo>> LimitedDriver::copy_within_store(Driver& from,
                                                                   std::string_view key,
                                                                   std::string_view to_key,
                                                                   const PutOptions& options) {
    requests_.wait_for(1);
    auto* const limited = dynamic_cast<LimitedDriver*>(&from);
    Driver& source = limited == nullptr ? from : *limited->driver_;
    return driver_->copy_within_store(source, key, to_key, options);
}

Result<VersionPage> LimitedDriver::list_versions(std::string_view prefix, const std::string& next) {
    requests_.wait_for(1);
    return driver_->list_versions(prefix, next);
}

Result<void> LimitedDriver::remove_version(std::string_view key, std::string_view version_id) {
    requests_.wait_for(1);
    return driver_->remove_version(key, version_id);
}

Result<void> LimitedDriver::remove_older_versions(std::string_view key,
                                                  std::string_view version_id) {
    requests_.wait_for(1);
    return driver_->remove_older_versions(key, version_id);
}

Result<Strays> LimitedDriver::sweep_strays(std::int64_t before_s, bool only_count) {
    requests_.wait_for(1);
    return driver_->sweep_strays(before_s, only_count);
}

Result<void> LimitedDriver::set_aside(std::string_view key, const ObjectInfo& info,
                                      std::string_view folder) {
    requests_.wait_for(1);
    return driver_->set_aside(key, info, folder);
}

Result<Space> LimitedDriver::space() {
    return driver_->space();
}

Result<std::vector<std::string>> LimitedDriver::check(bool for_writing) {
    return driver_->check(for_writing);
}

}  // namespace tidepool::storage
