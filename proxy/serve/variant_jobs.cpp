#include "proxy/serve/variant_jobs.h"

#include "conf/log.h"
#include "conf/random_name.h"
#include "proxy/serve/variant_maker.h"
#include "storage/retry.h"

#include <algorithm>
#include <ctime>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tidepool::serve {

namespace {

constexpr std::string_view kType = "variant";
constexpr std::uint64_t kLookMs = 5'000;
// Of one attempt. The lease is longer, so that it need not be renewed.
constexpr conf::Milliseconds kPatience{240'000};
constexpr std::int64_t kLeaseS = 300;
constexpr std::int64_t kFirstRetryS = 2;
constexpr std::int64_t kMostRetryS = 3'600;
// Days of trying, at an hour each.
constexpr std::int64_t kMostAttempts = 100;

std::optional<std::string> key_of(const storage::JobRecord& job) {
    const auto payload = nlohmann::json::parse(job.payload, nullptr, false);
    if (!payload.is_object()) return std::nullopt;
    const auto key = payload.find("key");
    if (key == payload.end() || !key->is_string()) return std::nullopt;
    return key->get<std::string>();
}

}  // namespace

storage::NewJob variant_job(const std::string& key) {
    return {.type = std::string(kType),
            .payload = nlohmann::json{{"key", key}}.dump(),
            .dedup_key = fmt::format("{} {}", kType, key),
            .not_before_s = std::time(nullptr) + kFirstRetryS};
}

std::optional<std::int64_t> retry_after_s(const Error& error, std::int64_t attempts, double part) {
    if (attempts >= kMostAttempts) return std::nullopt;
    switch (error.kind) {
        case ErrorKind::capped:  // until the day is over, or somebody made room
            return kMostRetryS;
        case ErrorKind::denied:
        case ErrorKind::misconfigured:
        case ErrorKind::corrupt:
        case ErrorKind::too_large:
        case ErrorKind::invalid:
        case ErrorKind::not_found:
        case ErrorKind::conflict:
            return std::nullopt;
        default:
            break;
    }
    const auto doublings = std::min<std::int64_t>(attempts, 12);
    const std::int64_t most = std::min(kMostRetryS, kFirstRetryS << doublings);
    return most / 2 + static_cast<std::int64_t>(part * static_cast<double>(most) / 2);
}

VariantJobs::VariantJobs(loop::Loop& loop, Stores& stores, VariantMaker& maker)
    : loop_(loop), stores_(stores), maker_(maker), owner_("variants " + conf::random_name()) {}

void VariantJobs::start() {
    loop_.tasks().spawn(run(*this));
}

void VariantJobs::stop() {
    stopping_ = true;
    loop_.post([this] {
        if (pause_ != nullptr) pause_->cut();
    });
}

loop::Task<> VariantJobs::run(VariantJobs& self) {
    while (!self.stopping_) {
        if (const auto job = co_await self.take()) {
            co_await self.work_on(*job);
            continue;
        }
        loop::Loop::Delay pause(self.loop_, kLookMs);
        if (self.stopping_) co_return;
        self.pause_ = &pause;
        co_await pause;
        self.pause_ = nullptr;
    }
}

loop::Task<std::optional<storage::JobRecord>> VariantJobs::take() {
    const std::string type(kType);
    auto job = co_await loop::offload(loop_, stores_.catalog_workers(), loop::Lane::bulk, [&] {
        return stores_.catalog()->take_job(std::span(&type, 1), owner_, std::time(nullptr),
                                           kLeaseS);
    });
    if (job) co_return std::move(*job);
    conf::log_warn("no job taken reason=\"{}\"", job.error().text);
    co_return std::nullopt;
}

loop::Task<> VariantJobs::work_on(const storage::JobRecord& job) {
    const auto key = key_of(job);
    if (!key) {
        co_await end(job, Error{ErrorKind::invalid, "its payload names no key"});
        co_return;
    }
    const auto outcome = co_await maker_.make(loop_, *key, kPatience, VariantMaker::Again::yes);
    std::optional<Error> error = outcome.error;
    if (outcome.store_error) error = outcome.store_error;
    if (!error && outcome.unstored) error = Error{ErrorKind::timed_out, "it is not stored yet"};
    // The image is gone, or has no such variant any more.
    if (error && error->kind == ErrorKind::not_found) error.reset();
    co_await end(job, error);
}

loop::Task<> VariantJobs::end(const storage::JobRecord& job, const std::optional<Error>& error) {
    const std::int64_t now_s = std::time(nullptr);
    auto ended = co_await loop::offload(
        loop_, stores_.catalog_workers(), loop::Lane::bulk, [&]() -> Result<bool> {
            if (!error) return stores_.catalog()->finish_job(job.id, owner_, now_s);
            storage::JobFailure failure{.error_class = std::string(name_of(error->kind)),
                                        .text = error->text};
            if (const auto wait_s = retry_after_s(*error, job.attempts, storage::random_part()))
                failure.retry_at_s = now_s + *wait_s;
            return stores_.catalog()->fail_job(job.id, owner_, failure, now_s);
        });
    if (!ended) {
        conf::log_warn("job not ended id={} reason=\"{}\"", job.id, ended.error().text);
    } else if (!*ended) {
        conf::log_warn("job was somebody else's by its end id={}", job.id);
    }
}

}  // namespace tidepool::serve
