#include "proxy/serve/download_authorization.h"

#include "conf/log.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <pthread.h>

namespace tidepool::serve {

namespace {

using storage::NextTry;
using storage::StoreFailure;
using Seconds = std::chrono::seconds;

// A request that goes out just before a token's end may come too late; a token of the shortest
// lifetime has several times this left when it is renewed.
constexpr Seconds kLastSeconds{3};

}  // namespace

DownloadAuthorization::DownloadAuthorization(std::string pool, Fetch fetch,
                                             const storage::RetryLimits& retry)
    : pool_(std::move(pool)), fetch_(std::move(fetch)), retry_(retry), plan_(storage::random_part) {
    thread_ = std::thread([this] { run(); });
    constexpr std::size_t kLongestName = 15;  // of a thread, for the kernel
    pthread_setname_np(thread_.native_handle(), ("token:" + pool_).substr(0, kLongestName).c_str());
}

DownloadAuthorization::~DownloadAuthorization() {
    stop();
}

void DownloadAuthorization::stop() {
    stop_.store(true, std::memory_order_relaxed);
    {
        const std::lock_guard lock(mutex_);
        ended_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
    const std::lock_guard lock(mutex_);
    wake_all();
}

// ---- the thread

void DownloadAuthorization::run() {
    while (wait_until_due())
        publish(fetch_with_retries());
}

// False: it is time to end.
bool DownloadAuthorization::wait_until_due() {
    std::unique_lock lock(mutex_);
    while (!ended_) {
        const Time moment = std::chrono::steady_clock::now();
        const bool is_wanted = wanted_ || !is_good(moment);
        const Time due = plan_.due(is_wanted);
        if (due <= moment) {
            plan_.began(moment);
            running_ = true;
            return true;
        }
        // It is wanted, too, once the present one ends.
        changed_.wait_until(lock, is_wanted ? due : std::min(due, good_until_));
    }
    return false;
}

std::expected<Granted, StoreFailure> DownloadAuthorization::fetch_with_retries() {
    storage::RetryPlan plan(retry_, storage::random_part, std::chrono::steady_clock::now());
    while (true) {
        auto granted = fetch_(stop_);
        if (granted) return granted;
        const auto wait = plan.next(granted.error(), std::chrono::steady_clock::now());
        if (!wait || !pause(*wait)) return granted;
    }
}

// False: it is time to end.
bool DownloadAuthorization::pause(std::chrono::milliseconds wait) {
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, wait, [this] { return ended_; });
}

void DownloadAuthorization::publish(std::expected<Granted, StoreFailure> result) {
    rounds_.fetch_add(1, std::memory_order_relaxed);
    const Time moment = std::chrono::steady_clock::now();
    bool still_good = false;
    {
        const std::lock_guard lock(mutex_);
        running_ = false;
        if (result) {
            plan_.succeeded(result->begun, result->lifetime);
            good_until_ = result->begun + result->lifetime - kLastSeconds;
            current_ = std::make_shared<const storage::DownloadGrant>(std::move(result->grant));
            error_.reset();
            wanted_ = false;
        } else {
            plan_.failed(moment, result.error().error);
            error_ = result.error().error;
            still_good = is_good(moment);
        }
        // Under the same lock: who asks once the grant is there and refuses it waits for the next
        // round, and is not told of this one.
        wake_all();
    }
    if (result) {
        conf::log_info("download authorization got pool={} prefix=\"{}\" good_for_s={}", pool_,
                       result->prefix, result->lifetime.count());
    } else if (!stop_.load(std::memory_order_relaxed)) {
        failures_.fetch_add(1, std::memory_order_relaxed);
        if (still_good) {
            conf::log_warn("download authorization not renewed pool={} reason=\"{}\"", pool_,
                           result.error().error.text);
        } else {
            conf::log_error(
                "no download authorization, so the bucket cannot be read pool={} "
                "reason=\"{}\"",
                pool_, result.error().error.text);
        }
    }
}

// The lock is held.
void DownloadAuthorization::wake_all() {
    for (Wait* const wait : std::exchange(waits_, {})) {
        wait->result_ = answer(wait->refused_, true, std::chrono::steady_clock::now());
        wait->loop_.post(wait->waiter_);
    }
}

// ---- those who want it

// Nothing where a round is to be waited for.
std::optional<Result<DownloadAuthorization::Grant>> DownloadAuthorization::answer(
    const Grant& refused, bool is_round_over, Time moment) {
    if (is_good(moment) && current_ != refused) return current_;
    if (ended_ || is_round_over) return std::unexpected(refusal(moment));
    if (running_) return std::nullopt;
    wanted_ = true;
    // Else the thread would sleep until this one is to be renewed.
    changed_.notify_all();
    if (plan_.due(true) <= moment) return std::nullopt;
    return std::unexpected(refusal(moment));
}

Error DownloadAuthorization::refusal(Time moment) const {
    Error error{ErrorKind::denied,
                fmt::format("pool {}: the bucket refuses its download authorization", pool_)};
    if (error_) error = *error_;
    if (ended_)
        error = {ErrorKind::overloaded, fmt::format("pool {}: it is no longer served", pool_)};
    StoreDetail detail = error.store ? *error.store : StoreDetail{.pool = pool_};
    detail.unauthorized = true;
    const auto until_next = std::chrono::ceil<Seconds>(std::max(plan_.due(true), moment) - moment);
    detail.retry_after = std::max({detail.retry_after, until_next, Seconds(1)});
    error.store = std::make_shared<const StoreDetail>(std::move(detail));
    return error;
}

DownloadAuthorization::Wait DownloadAuthorization::grant(loop::Loop& loop, Grant refused) {
    return {*this, loop, std::move(refused)};
}

StoreFailure DownloadAuthorization::judge(const Grant& grant, StoreFailure failure) {
    if (failure.next != NextTry::new_token || !failure.error.store) return failure;
    StoreDetail detail = *failure.error.store;
    // Else it may be good, and not for this object.
    if (refuses_token(detail)) {
        const std::lock_guard lock(mutex_);
        if (current_ == grant) current_.reset();
    }
    detail.unauthorized = true;
    failure.error.store = std::make_shared<const StoreDetail>(std::move(detail));
    return failure;
}

Seconds DownloadAuthorization::good_for(Time moment) const {
    const std::lock_guard lock(mutex_);
    if (!is_good(moment)) return Seconds(0);
    return std::chrono::ceil<Seconds>(good_until_ - moment);
}

bool DownloadAuthorization::Wait::await_suspend(std::coroutine_handle<> waiter) {
    const std::lock_guard lock(owner_.mutex_);
    result_ = owner_.answer(refused_, false, std::chrono::steady_clock::now());
    if (result_) return false;
    waiter_ = waiter;
    owner_.waits_.push_back(this);
    return true;
}

void DownloadAuthorization::Wait::cut() {
    {
        const std::lock_guard lock(owner_.mutex_);
        if (std::erase(owner_.waits_, this) == 0) return;  // it is on its way
        result_ = fail(ErrorKind::closed, "nobody waits for it any more");
    }
    waiter_.resume();
}

std::unique_ptr<DownloadAuthorization> keep_authorized(const conf::PoolSettings& settings,
                                                       storage::StoreGate& gate,
                                                       const conf::OriginSettings& origin) {
    using namespace std::chrono_literals;
    // Clients may wait: no longer than for the bucket itself.
    const storage::HttpLimits limits{
        .connect_timeout = origin.connect_timeout,
        .stall_timeout = std::chrono::ceil<Seconds>(origin.first_byte_timeout),
        .kept_connections = 1};
    const storage::RetryLimits retry{.tries = 3, .first = 200ms, .most = 2s, .budget = 10s};
    return std::make_unique<DownloadAuthorization>(
        settings.name,
        [authorizer = std::make_unique<B2Authorizer>(settings, gate, limits)](
            const std::atomic<bool>& stop) { return authorizer->authorize(&stop); },
        retry);
}

}  // namespace tidepool::serve
