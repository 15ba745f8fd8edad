// Gets a token that opens a private bucket for downloads from B2 (contracts: b2-s3.md 3). Blocking.
#pragma once

#include "conf/settings.h"
#include "proxy/serve/b2_native.h"
#include "storage/breaker.h"
#include "storage/s3_http.h"
#include "storage/store_gate.h"

#include <atomic>
#include <chrono>
#include <expected>
#include <string>

namespace tidepool::serve {

// A token, and what is known of it.
struct Granted {
    storage::DownloadGrant grant{};
    std::string prefix{};  // of the names that it opens, as the store has them
    // When it was asked for, and for how long: so it is never believed longer than it is good.
    std::chrono::steady_clock::time_point begun{};
    std::chrono::seconds lifetime{0};
};

// For one pool. One thread at a time.
class B2Authorizer {
  public:
    // `gate` is the pool's, for the budget, and must outlive this. Whether the API works says
    // nothing about the download host, so it has a breaker of its own.
    B2Authorizer(const conf::PoolSettings& settings, storage::StoreGate& gate,
                 const storage::HttpLimits& limits);

    // One try: two calls of class C, and a third where the bucket's id is not known. Once `stop` is
    // true it fails within a second; null = never. No text names a secret.
    std::expected<Granted, storage::StoreFailure> authorize(const std::atomic<bool>* stop);

    // Asks the download host for an object that is not there, which it says only to those whom it
    // lets in. One call of class B.
    Result<void> probe(const Granted& granted);

  private:
    std::expected<std::string, storage::StoreFailure> call(const B2Request& b2,
                                                           std::string_view account_token,
                                                           const std::atomic<bool>* stop);
    std::expected<std::string, storage::StoreFailure> find_bucket(const B2Account& account,
                                                                  const std::atomic<bool>* stop);
    storage::StoreFailure failed(std::string_view name, Error error) const;
    storage::StoreFailure explained(std::string_view name, storage::StoreFailure failure) const;

    const conf::PoolSettings settings_;
    storage::StoreGate& gate_;
    storage::Breaker breaker_;
    storage::S3Http http_;
    std::string bucket_id_;  // once it was listed
};

}  // namespace tidepool::serve
