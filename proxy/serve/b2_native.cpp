#include "proxy/serve/b2_native.h"

#include "conf/digest.h"
#include "conf/quote.h"
#include "conf/text_rules.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tidepool::serve {

namespace {

using Json = nlohmann::json;

constexpr std::string_view kAuthorize = "b2_authorize_account";
constexpr std::string_view kList = "b2_list_buckets";
constexpr std::string_view kGrant = "b2_get_download_authorization";
constexpr std::string_view kShare = "shareFiles";

// Far more than any answer has, but for a list of an account's buckets that was not asked for.
constexpr std::size_t kMostAnswerBytes = 1024UL * 1024;
constexpr std::size_t kMostTokenBytes = 4096;

std::string url_of(std::string_view base, std::string_view call) {
    return fmt::format("{}/b2api/v4/{}", base, call);
}

// Keys, prefixes and buckets are UTF-8 wherever they come from; what is not is replaced, and then
// refused by B2.
std::string text_of(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

B2Request post(std::string_view call, const B2Account& account, const Json& body) {
    B2Request b2{.name = call, .request = {}, .body = text_of(body)};
    b2.request = {
        .method = "POST",
        .url = url_of(account.api_url, call),
        .headers = {{"authorization", account.authorization}, {"content-type", "application/json"}},
        .call_class = storage::CallClass::c};
    return b2;
}

std::unexpected<Error> wrong(std::string_view call, std::string_view what) {
    return fail(ErrorKind::io, fmt::format("the answer of {} {}", call, what));
}

Result<Json> object_in(std::string_view call, std::string_view body) {
    if (body.size() > kMostAnswerBytes) return wrong(call, "is too long");
    Json json = Json::parse(body, nullptr, false);
    if (!json.is_object()) return wrong(call, "is no JSON object");
    return json;
}

// A member, or null where there is none or `json` is no object.
const Json& member(const Json& json, std::string_view name) {
    static const Json kNull;
    if (!json.is_object()) return kNull;
    const auto found = json.find(name);
    return found == json.end() ? kNull : *found;
}

// "" where there is no such text.
std::string text_in(const Json& json, std::string_view name) {
    const Json& value = member(json, name);
    return value.is_string() ? value.get<std::string>() : std::string();
}

// What may stand in a header.
bool is_token(std::string_view text) {
    const auto is_graphic = [](char c) { return c > ' ' && c < '\x7f'; };
    return !text.empty() && text.size() <= kMostTokenBytes && std::ranges::all_of(text, is_graphic);
}

bool is_good_url(std::string_view url, std::string_view native_url) {
    constexpr std::string_view kTls = "https://";
    return !url.empty() && conf::wrong_in_base_url(url).empty() &&
           (url.starts_with(kTls) || !native_url.starts_with(kTls));
}

// Nothing where an entry is no bucket. One that was removed has an id and no name.
std::optional<std::vector<B2Bucket>> buckets_in(const Json& list) {
    std::vector<B2Bucket> buckets;
    for (const Json& each : list) {
        B2Bucket bucket{text_in(each, "id"), text_in(each, "name")};
        if (!is_token(bucket.id)) return std::nullopt;
        buckets.push_back(std::move(bucket));
    }
    return buckets;
}

// misconfigured where it is not among those that are listed.
Result<Json> bucket_in_list(std::string_view body, std::string_view bucket) {
    const auto json = object_in(kList, body);
    if (!json) return std::unexpected(json.error());
    const Json& buckets = member(*json, "buckets");
    if (!buckets.is_array()) return wrong(kList, "has no buckets");
    for (const Json& each : buckets) {
        if (text_in(each, "bucketName") == bucket) return each;
    }
    return fail(ErrorKind::misconfigured,
                fmt::format("the key's account has no bucket {}", conf::quote(bucket)));
}

}  // namespace

bool refuses_token(const StoreDetail& detail) {
    return detail.code == "bad_auth_token" || detail.code == "expired_auth_token";
}

B2Request authorize_account(std::string_view native_url, const conf::Secret& key_id,
                            const conf::Secret& key) {
    const std::string pair = key_id.reveal() + ":" + key.reveal();
    const std::span bytes(reinterpret_cast<const std::uint8_t*>(pair.data()), pair.size());
    B2Request b2{.name = kAuthorize, .request = {}};
    b2.request = {.method = "GET",
                  .url = url_of(native_url, kAuthorize),
                  .headers = {{"authorization", "Basic " + conf::base64(bytes)}},
                  .call_class = storage::CallClass::c};
    return b2;
}

B2Request list_buckets(const B2Account& account, std::string_view bucket) {
    return post(kList, account, {{"accountId", account.account_id}, {"bucketName", bucket}});
}

B2Request get_download_authorization(const B2Account& account, std::string_view bucket_id,
                                     std::string_view prefix, std::chrono::seconds lifetime) {
    return post(kGrant, account,
                {{"bucketId", bucket_id},
                 {"fileNamePrefix", prefix},
                 {"validDurationInSeconds", lifetime.count()}});
}

Result<B2Account> parse_account(std::string_view body, std::string_view native_url) {
    const auto json = object_in(kAuthorize, body);
    if (!json) return std::unexpected(json.error());
    const Json& api = member(member(*json, "apiInfo"), "storageApi");
    const Json& allowed = member(api, "allowed");
    B2Account account{.account_id = text_in(*json, "accountId"),
                      .authorization = text_in(*json, "authorizationToken"),
                      .api_url = text_in(api, "apiUrl"),
                      .download_url = text_in(api, "downloadUrl"),
                      .name_prefix = text_in(allowed, "namePrefix")};
    if (!is_token(account.account_id)) return wrong(kAuthorize, "has no accountId");
    if (!is_token(account.authorization)) return wrong(kAuthorize, "has no authorizationToken");
    if (!is_good_url(account.api_url, native_url)) return wrong(kAuthorize, "has no good apiUrl");
    if (!is_good_url(account.download_url, native_url))
        return wrong(kAuthorize, "has no good downloadUrl");
    // Without these nobody knows what the key may do.
    const Json& capabilities = member(allowed, "capabilities");
    if (!capabilities.is_array()) return wrong(kAuthorize, "has no capabilities");
    for (const Json& each : capabilities) {
        if (each.is_string()) account.capabilities.push_back(each.get<std::string>());
    }
    const Json& prefix = member(allowed, "namePrefix");
    if (!prefix.is_null() && !prefix.is_string())
        return wrong(kAuthorize, "has a wrong namePrefix");
    const Json& buckets = member(allowed, "buckets");
    if (buckets.is_null()) return account;
    if (buckets.is_array()) account.buckets = buckets_in(buckets);
    if (!account.buckets) return wrong(kAuthorize, "has a wrong list of buckets");
    return account;
}

Result<std::string> parse_bucket_list(std::string_view body, std::string_view bucket) {
    const auto found = bucket_in_list(body, bucket);
    if (!found) return std::unexpected(found.error());
    std::string id = text_in(*found, "bucketId");
    if (!is_token(id)) return wrong(kList, "has no bucketId");
    return id;
}

Result<std::vector<B2LifecycleRule>> parse_lifecycle(std::string_view body,
                                                     std::string_view bucket) {
    const auto found = bucket_in_list(body, bucket);
    if (!found) return std::unexpected(found.error());
    std::vector<B2LifecycleRule> rules;
    const Json& listed = member(*found, "lifecycleRules");
    if (listed.is_null()) return rules;
    if (!listed.is_array()) return wrong(kList, "has a wrong list of lifecycleRules");
    const auto days = [](const Json& rule, std::string_view name) -> std::optional<std::int64_t> {
        const Json& value = member(rule, name);
        if (!value.is_number_integer()) return std::nullopt;
        return value.get<std::int64_t>();
    };
    for (const Json& each : listed) {
        if (!member(each, "fileNamePrefix").is_string())
            return wrong(kList, "has a lifecycle rule without fileNamePrefix");
        rules.push_back({.prefix = text_in(each, "fileNamePrefix"),
                         .days_to_hiding = days(each, "daysFromUploadingToHiding"),
                         .days_to_deleting = days(each, "daysFromHidingToDeleting")});
    }
    return rules;
}

Result<std::string> parse_download_authorization(std::string_view body, std::string_view bucket_id,
                                                 std::string_view prefix) {
    const auto json = object_in(kGrant, body);
    if (!json) return std::unexpected(json.error());
    std::string token = text_in(*json, "authorizationToken");
    if (!is_token(token)) return wrong(kGrant, "has no authorizationToken");
    const Json& granted = member(*json, "fileNamePrefix");
    if (text_in(*json, "bucketId") != bucket_id || !granted.is_string() ||
        granted.get_ref<const std::string&>() != prefix)
        return wrong(kGrant, "is for something else");
    return token;
}

Result<std::optional<std::string>> allowed_bucket(const B2Account& account,
                                                  std::string_view bucket) {
    if (!account.buckets) return std::nullopt;
    const auto found = std::ranges::find(*account.buckets, bucket, &B2Bucket::name);
    if (found != account.buckets->end()) return found->id;
    return fail(ErrorKind::denied,
                fmt::format("the key is limited to other buckets than {}", conf::quote(bucket)));
}

Result<std::string> allowed_prefix(const B2Account& account, std::string_view path_prefix) {
    if (std::ranges::find(account.capabilities, kShare) == account.capabilities.end()) {
        return fail(ErrorKind::denied,
                    fmt::format("the key has not the capability {}, which a download authorization "
                                "needs",
                                kShare));
    }
    if (path_prefix.starts_with(account.name_prefix)) return std::string(path_prefix);
    if (account.name_prefix.starts_with(path_prefix)) return account.name_prefix;
    return fail(ErrorKind::denied, fmt::format("the key is limited to names that begin with {}",
                                               conf::quote(account.name_prefix)));
}

}  // namespace tidepool::serve
