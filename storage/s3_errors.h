// What went wrong at a store, and what to do about it (contracts: b2-s3.md 2.2, 5 and 7). Pure.
#pragma once

#include "conf/error.h"
#include "storage/breaker.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tidepool::storage {

// What was asked of whom, for texts.
struct StoreCall {
    std::string_view pool{};
    std::string_view key{};     // "" where the bucket is meant
    std::string_view method{};  // "GET"
};

// An answer that is an error. Body and headers may be empty: answers to HEAD have none, and proxies
// between us and the store write what they like.
struct StoreAnswer {
    int status = 0;
    std::string_view body{};         // XML or JSON; its first kMaxErrorBytes are looked at
    std::string_view request_id{};   // x-amz-request-id
    std::string_view retry_after{};  // as sent
};
inline constexpr std::size_t kMaxErrorBytes = 64ULL * 1024;

// Why there was no whole answer.
enum class TransportFault : std::uint8_t {
    resolve,    // the name has no address
    connect,    // nobody listens, or the network has no way
    tls,        // the certificate is not good, or no common protocol
    timed_out,  // no answer in time
    stalled,    // too few bytes for too long
    cut,        // the connection ended within the answer
    other,
};

enum class NextTry : std::uint8_t {
    never,             // the same request gets the same answer
    later,             // on any connection
    fresh_connection,  // behind this one sits something that is full or broken
    corrected_clock,   // once, with the time of the answer's Date, if that differs by minutes
    new_token,         // once, with a new download authorization
};

struct StoreFailure {
    Error error;
    NextTry next = NextTry::never;
    Outcome outcome = Outcome::answered;  // what a breaker is told
};

// Maps an answer with an error status; also a 200 whose body turned out to be an error.
StoreFailure failure_of(const StoreCall& call, const StoreAnswer& answer);

// Maps a failure of the connection. `text` says what the client knows about it.
StoreFailure failure_of(const StoreCall& call, TransportFault fault, std::string_view text);

// Refusals that are our own: no request is made.
// `is_capped`: the breaker is open because of the store's own cap (capped), else it is failing
// (overloaded).
Error breaker_refusal(const StoreCall& call, std::chrono::seconds retry_after, bool is_capped);
Error budget_refusal(const StoreCall& call, std::chrono::seconds retry_after);

}  // namespace tidepool::storage
