#include "storage/s3_client.h"

#include "conf/log.h"
#include "storage/s3_xml.h"

#include <cstdlib>
#include <ctime>
#include <thread>
#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

// A store refuses signatures that are 15 minutes off; less than a minute is no explanation.
constexpr std::int64_t kNoticeableSkew = 60;

Breaker::Time steady_now() {
    return std::chrono::steady_clock::now();
}

bool is_write(const StoreRequest& request) {
    return request.method != "GET" && request.method != "HEAD";
}

StoreAnswer answer_of(const HttpAnswer& http) {
    return {.status = http.status,
            .body = http.body,
            .request_id = http.header("x-amz-request-id"),
            .retry_after = http.header("retry-after")};
}

}  // namespace

S3Client::S3Client(const conf::PoolSettings& settings, std::shared_ptr<StoreGate> gate,
                   S3Limits limits)
    : pool_(settings.name),
      requests_(settings),
      limits_(std::move(limits)),
      gate_(std::move(gate)),
      http_(limits_.http) {}

RetryPlan S3Client::new_plan() const {
    return {limits_.retry, random_part, steady_now()};
}

void S3Client::wait(std::chrono::milliseconds duration) const {
    if (limits_.wait) {
        limits_.wait(duration);
    } else {
        // tidy: allow sleep, a store is left alone before it is asked again
        std::this_thread::sleep_for(duration);
    }
}

std::int64_t S3Client::store_now(std::int64_t local_now) const {
    return local_now + clock_offset_s_.load(std::memory_order_relaxed);
}

StoreFailure S3Client::failure_in(const StoreCall& what, const HttpAnswer& answer,
                                  std::int64_t local_now) {
    StoreFailure failure = failure_of(what, answer_of(answer));
    // A refused HEAD does not say why.
    const bool may_be_clock =
        failure.next == NextTry::corrected_clock || (answer.status == 403 && answer.body.empty());
    if (!may_be_clock) return failure;
    const std::int64_t offset = answer.date_s == 0 ? 0 : answer.date_s - local_now;
    const std::int64_t change = std::abs(offset - clock_offset_s_.load(std::memory_order_relaxed));
    failure.next = change > kNoticeableSkew ? NextTry::corrected_clock : NextTry::never;
    if (failure.next == NextTry::corrected_clock) {
        clock_offset_s_.store(offset, std::memory_order_relaxed);
        conf::log_warn("event=clock_skew pool={} store_minus_local_s={}", pool_, offset);
    }
    return failure;
}

std::expected<HttpAnswer, StoreFailure> S3Client::try_once(const S3Call& call, bool first) {
    if (limits_.pace) limits_.pace();
    const std::int64_t local_now = std::time(nullptr);
    const StoreRequest request = call.request(store_now(local_now));
    const StoreCall what{.pool = pool_, .key = call.key, .method = request.method};
    Breaker& breaker = is_write(request) ? gate_->writes : gate_->reads;
    if (auto passed = gate_->pass(breaker, what, request.call_class, steady_now(), local_now);
        !passed)
        return std::unexpected(StoreFailure{std::move(passed.error())});
    if (!first && call.exchange.upload != nullptr) {
        if (auto rewound = call.exchange.upload->rewind(); !rewound) {
            breaker.abandon();
            return std::unexpected(StoreFailure{rewound.error()});
        }
    }
    HttpExchange exchange = call.exchange;
    exchange.fresh_connection = !first && wants_fresh_connection_.exchange(false);
    auto answer = http_.perform(request, exchange);
    const HttpAnswer& http = answer ? *answer : answer.error().answer;
    if (http.received_bytes > 0 && request.call_class == CallClass::b)
        gate_->add_egress(pool_, http.received_bytes, local_now);
    if (!answer && answer.error().ours) {
        breaker.abandon();  // says nothing about the store
        return std::unexpected(StoreFailure{std::move(*answer.error().ours)});
    }
    if (answer && http.status / 100 == 2 && !(call.may_hide_error && parse_error_xml(http.body))) {
        breaker.report(Outcome::answered, steady_now());
        return std::move(*answer);
    }
    StoreFailure failure = answer ? failure_in(what, http, local_now)
                                  : failure_of(what, answer.error().fault, answer.error().text);
    breaker.report(failure.outcome, steady_now());
    if (failure.next == NextTry::fresh_connection) wants_fresh_connection_.store(true);
    return std::unexpected(std::move(failure));
}

Result<S3Answer> S3Client::call(const S3Call& call) {
    RetryPlan plan = new_plan();
    while (true) {
        auto answer = try_once(call, plan.tries() == 1);
        if (answer) return S3Answer{std::move(*answer), plan.tries()};
        const auto pause = plan.next(answer.error(), steady_now());
        if (!pause) return std::unexpected(std::move(answer.error().error));
        conf::log_debug("event=store_retry try={} wait_ms={} error=\"{}\"", plan.tries(),
                        pause->count(), answer.error().error.text);
        wait(*pause);
    }
}

}  // namespace tidepool::storage
