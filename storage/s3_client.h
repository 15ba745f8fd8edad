// Calls to the store of one pool: through breaker and budget, retried, with its clock. Blocking;
// any thread.
#pragma once

#include "conf/settings.h"
#include "storage/retry.h"
#include "storage/s3_http.h"
#include "storage/s3_request.h"
#include "storage/store_gate.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace tidepool::storage {

struct S3Limits {
    RetryLimits retry{};
    HttpLimits http{};
    std::uint64_t multipart_above = 100ULL * 1024 * 1024;  // larger objects are sent in parts
    std::uint64_t part_bytes = 16ULL * 1024 * 1024;  // held in memory; at least 5 MiB for a store
    std::chrono::seconds copy_patience{1'200};       // while a store copies or puts parts together
    // Waits before a retry; a caller that may be stopped gives its own. Null = sleeps.
    std::function<void(std::chrono::milliseconds)> wait{};
    // Returns when the next try of a call may be made. Null = at once.
    std::function<void()> pace{};
};

// One call, which may be made several times.
struct S3Call {
    std::string_view key;                                   // for texts; "" = the bucket
    std::function<StoreRequest(std::int64_t now)> request;  // built anew for each try
    HttpExchange exchange{};
    bool may_hide_error = false;  // a 200 whose body is an <Error>
};

struct S3Answer {
    HttpAnswer http{};
    unsigned tries = 1;
};

class S3Client {
  public:
    // `gate` may be shared with others who call the same store.
    S3Client(const conf::PoolSettings& settings, std::shared_ptr<StoreGate> gate, S3Limits limits);

    // Until the answer is a 2xx, or the failure is final.
    Result<S3Answer> call(const S3Call& call);

    // One try, for those who retry in their own way; `first` = the source needs no rewinding.
    std::expected<HttpAnswer, StoreFailure> try_once(const S3Call& call, bool first);
    RetryPlan new_plan() const;
    void wait(std::chrono::milliseconds duration) const;

    const S3Requests& requests() const { return requests_; }
    const std::string& pool() const { return pool_; }
    const S3Limits& limits() const { return limits_; }
    StoreGate& gate() const { return *gate_; }

    // Whether the bucket has shown that it keeps no versions: of a key with one, which it calls
    // "null", a removal left nothing behind. Such a removal says so if that changes.
    bool keeps_no_versions() const { return keeps_no_versions_.load(std::memory_order_relaxed); }
    void note_versions(bool are_kept) {
        keeps_no_versions_.store(!are_kept, std::memory_order_relaxed);
    }

  private:
    StoreFailure failure_in(const StoreCall& what, const HttpAnswer& answer,
                            std::int64_t local_now);
    std::int64_t store_now(std::int64_t local_now) const;

    const std::string pool_;
    const S3Requests requests_;
    const S3Limits limits_;
    const std::shared_ptr<StoreGate> gate_;
    S3Http http_;
    std::atomic<std::int64_t> clock_offset_s_{0};  // the store's clock minus ours
    std::atomic<bool> wants_fresh_connection_{false};
    std::atomic<bool> keeps_no_versions_{false};
};

}  // namespace tidepool::storage
