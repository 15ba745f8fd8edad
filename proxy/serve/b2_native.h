// B2's native API as far as it opens a private bucket for downloads: what is asked, and what the
// answers say (contracts: b2-s3.md 1 to 3). Pure.
#pragma once

#include "conf/error.h"
#include "conf/settings.h"
#include "storage/s3_request.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::serve {

struct B2Bucket {
    std::string id;
    std::string name;
};

// What b2_authorize_account says of a key.
struct B2Account {
    std::string account_id{};
    std::string authorization{};  // a secret: opens the calls that follow, for a day
    std::string api_url{};        // where these are made
    std::string download_url{};   // the friendly host
    std::vector<std::string> capabilities{};
    std::optional<std::vector<B2Bucket>> buckets{};  // that it is limited to; nothing = it is not
    std::string name_prefix{};                       // of the names that it is limited to
};

// What becomes of the versions of names that begin so. Nothing = nothing.
struct B2LifecycleRule {
    std::string prefix{};
    std::optional<std::int64_t> days_to_hiding{};    // from the upload
    std::optional<std::int64_t> days_to_deleting{};  // from the hiding
};

// A call; one with a body is a POST of it.
struct B2Request {
    std::string_view name;  // "b2_authorize_account"
    storage::StoreRequest request;
    std::string body{};
};

// Whether B2 says that the token itself is not good, or not any more.
bool refuses_token(const StoreDetail& detail);

B2Request authorize_account(std::string_view native_url, const conf::Secret& key_id,
                            const conf::Secret& key);
B2Request list_buckets(const B2Account& account, std::string_view bucket);
B2Request get_download_authorization(const B2Account& account, std::string_view bucket_id,
                                     std::string_view prefix, std::chrono::seconds lifetime);

// The answers' bodies. What is not as it should be is ErrorKind::io, for no B2 wrote it; texts
// quote nothing of it, as it may hold a token. `native_url` is where the account was asked for:
// what was found by TLS does not lead out of it.
Result<B2Account> parse_account(std::string_view body, std::string_view native_url);
// The id of that bucket. misconfigured where it is not among those that are listed.
Result<std::string> parse_bucket_list(std::string_view body, std::string_view bucket);
// The rules of that bucket. Errors as of parse_bucket_list.
Result<std::vector<B2LifecycleRule>> parse_lifecycle(std::string_view body,
                                                     std::string_view bucket);
// The token, which must be for this bucket and prefix.
Result<std::string> parse_download_authorization(std::string_view body, std::string_view bucket_id,
                                                 std::string_view prefix);

// The id of a bucket that the key is limited to; nothing where it is not limited, so that it must
// be listed. denied where it is limited to others.
Result<std::optional<std::string>> allowed_bucket(const B2Account& account,
                                                  std::string_view bucket);
// The prefix of names that a token is wanted for: the pool's, or where the key is limited to a
// longer one, that. denied where they exclude each other, or the key may give no tokens.
Result<std::string> allowed_prefix(const B2Account& account, std::string_view path_prefix);

}  // namespace tidepool::serve
