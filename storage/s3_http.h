// Sends requests to S3 stores: blocking, over kept connections. Owner of libcurl on worker threads.
#pragma once

#include "conf/error.h"
#include "storage/driver.h"
#include "storage/s3_errors.h"
#include "storage/s3_request.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::storage {

struct HttpLimits {
    std::chrono::milliseconds connect_timeout{20'000};  // TCP and TLS
    std::chrono::seconds stall_timeout{30};  // with less than min_rate, or without an answer
    std::uint64_t min_rate = 1024;           // bytes a second
    std::size_t kept_connections = 16;
    // "127.0.0.1:8443": where all connections go, whatever host and port a URL names; TLS is still
    // spoken with that host. "" = where the URL says.
    std::string connect_to{};
};

struct HttpAnswer {
    int status = 0;
    std::vector<NamedValue> headers{};  // names in lower case
    std::string body{};                 // where `take` did not have it
    std::int64_t date_s = 0;            // of Date, seconds since 1970; 0 = none
    std::int64_t modified_s = 0;        // of Last-Modified
    std::uint64_t received_bytes = 0;   // of the body

    // "" where there is none.
    std::string_view header(std::string_view name) const;
    // Content-Length; nothing where there is none.
    std::optional<std::uint64_t> length() const;
};

// What goes with a request.
struct HttpExchange {
    ByteSource* upload = nullptr;  // rewound by the client where a connection turned out dead
    std::uint64_t upload_size = 0;
    // Given the body of a 2xx as it comes, instead of collecting it; an error ends the transfer.
    std::function<Result<void>(const HttpAnswer& head, std::span<const char> bytes)> take{};
    bool fresh_connection = false;
    std::chrono::seconds patience{0};  // replaces stall_timeout where a store works for long
    // Once true, the exchange ends with TransportFault::other, within a second. Null = never.
    const std::atomic<bool>* stop = nullptr;
};

// No whole answer. What was received before is in `answer`.
struct HttpFault {
    TransportFault fault = TransportFault::other;
    std::string text{};
    std::optional<Error> ours{};  // of `upload` or `take`: then no fault of the store
    HttpAnswer answer{};
};

// Any thread; each call has a connection to itself. Nothing is retried here, but for a kept
// connection that the other end had closed. SIGPIPE must be ignored.
class S3Http {
  public:
    explicit S3Http(const HttpLimits& limits);
    ~S3Http();
    S3Http(const S3Http&) = delete;
    S3Http& operator=(const S3Http&) = delete;

    // Sends exactly the request's method, URL and headers. Follows no redirect.
    std::expected<HttpAnswer, HttpFault> perform(const StoreRequest& request,
                                                 const HttpExchange& exchange);

  private:
    void* borrow();
    void give_back(void* handle);

    const HttpLimits limits_;
    std::mutex mutex_;
    std::vector<void*> idle_;  // CURL*, each with its connection
};

}  // namespace tidepool::storage
