// AWS Signature Version 4 for S3 (contracts: b2-s3.md 8). Pure: no I/O, no clock of its own; any
// thread, an event loop's too.
#pragma once

#include "conf/digest.h"
#include "conf/secret.h"

#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::storage {

// A header or a query parameter, as it is meant: not encoded.
struct NamedValue {
    std::string name{};
    std::string value{};
    bool operator==(const NamedValue&) const = default;
};

// Everything but A-Z a-z 0-9 - . _ ~ and the slash as %XX, once, without normalising. What goes
// into the URL is what is signed: a server decodes and encodes again in just this way.
std::string encode_path(std::string_view path);

// The same for names and values of a query, where the slash is encoded too.
std::string encode_query_text(std::string_view text);

// "a=1&b=&c=x%2Fy": encoded, sorted by name, then value. A parameter without a value keeps its "=",
// on the wire as well.
std::string encode_query(std::span<const NamedValue> parameters);

// "20130524T000000Z" for seconds since 1970.
std::string amz_time(std::int64_t seconds);

// The values of x-amz-content-sha256 that are no digest.
inline constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";  // only over TLS
inline constexpr std::string_view kEmptyPayload =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

// What is signed. `path` and `query` are encoded as above and sent unchanged.
struct Signable {
    std::string_view method{};
    std::string_view path = "/";
    std::string_view query = "";
    // All are signed. Names in any case, values without line ends; "host" must be among them, and
    // nothing that somebody on the way may change.
    std::span<const NamedValue> headers{};
    std::string_view payload_hash = kEmptyPayload;
};

// Signs for one store. Keeps the key of the last day, so that a signature is three HMACs less.
class Signer {
  public:
    // `region` is the store's ("us-west-001").
    Signer(std::string access_key_id, conf::Secret secret_access_key, std::string region);

    // The value of Authorization. x-amz-date must be among the headers, with amz_time(now).
    std::string authorization(const Signable& request, std::int64_t now) const;

    // The whole query of a URL that opens `path` with `method` for `lifetime_s` (1..604800) seconds
    // from `now` on; host is the only header that is signed. `parameters` are kept in it.
    std::string presigned_query(std::string_view method, std::string_view path,
                                std::string_view host, std::vector<NamedValue> parameters,
                                std::int64_t now, std::int64_t lifetime_s) const;

  private:
    conf::Sha256Digest signing_key(const std::string& day) const;
    std::string scope(std::string_view day) const;
    // `canonical` are the request's headers, lower-case, sorted and joined.
    std::string signature(const Signable& request, std::span<const NamedValue> canonical,
                          const std::string& time) const;

    const std::string access_key_id_;
    const conf::Secret secret_;
    const std::string region_;

    mutable std::mutex mutex_;  // held for a copy
    mutable std::string day_;   // of key_: "20130524"
    mutable conf::Sha256Digest key_{};
};

}  // namespace tidepool::storage
