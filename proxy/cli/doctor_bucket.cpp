#include "proxy/cli/doctor_bucket.h"

#include "conf/quote.h"
#include "proxy/edge/zone_facts.h"
#include "storage/streams.h"

#include <algorithm>
#include <array>
#include <string>

#include <fmt/format.h>

namespace tidepool::cli {

namespace {

using edge::Diagnosis;
using edge::Grade;

// What a pool needs of its key, and what is no more than that (contracts: b2-s3.md 1).
constexpr std::array<std::string_view, 8> kNeeded{"readFiles",   "writeFiles",        "listFiles",
                                                  "deleteFiles", "shareFiles",        "listBuckets",
                                                  "readBuckets", "listAllBucketNames"};

bool is_of_b2(const conf::PoolSettings& pool) {
    return pool.storage_type == conf::PoolSettings::Type::s3 && pool.is_active &&
           (!pool.download_url.empty() || pool.download_authorization ||
            edge::host_of_url(pool.endpoint_url).ends_with(".backblazeb2.com"));
}

// No text of it has a secret.
Result<std::string> ask_b2(storage::S3Http& http, const serve::B2Request& b2,
                           const conf::PoolSettings& pool) {
    storage::MemorySource body(b2.body);
    storage::HttpExchange exchange{.upload_size = b2.body.size()};
    if (!b2.body.empty()) exchange.upload = &body;
    auto answer = http.perform(b2.request, exchange);
    const auto hidden = [&](std::string text) {
        conf::hide(text, pool.secret_access_key.reveal());
        conf::hide(text, b2.request.headers.front().value);
        return conf::printable(text.substr(0, 300));
    };
    if (!answer)
        return fail(ErrorKind::io, fmt::format("{}: {}", b2.name, hidden(answer.error().text)));
    if (answer->status == 200) return std::move(answer->body);
    return fail(answer->status == 401 || answer->status == 403 ? ErrorKind::denied : ErrorKind::io,
                fmt::format("{}: {} {}", b2.name, answer->status, hidden(answer->body)));
}

Diagnosis unknown_of_bucket(std::string_view check, const Error& error) {
    const bool is_denied = error.kind == ErrorKind::denied;
    return {std::string(check), is_denied && check == "key" ? Grade::fail : Grade::warn, error.text,
            is_denied && check == "key" ? "B2 does not know access_key_id and secret_access_key"
            : is_denied ? "the key may not list its bucket (listBuckets), so look there yourself"
                        : "B2 has not answered, so this is not known"};
}

}  // namespace

Diagnosis judge_key(const serve::B2Account& account, const conf::PoolSettings& pool) {
    if (!account.buckets)
        return {"key", Grade::fail, "it opens every bucket of the account",
                fmt::format("make one that is limited to {}: b2 key create --bucket {} NAME "
                            "listBuckets,listFiles,readFiles,writeFiles,deleteFiles,shareFiles",
                            pool.bucket, pool.bucket)};
    const bool is_alone =
        account.buckets->size() == 1 && account.buckets->front().name == pool.bucket;
    if (!is_alone)
        return {"key", Grade::fail,
                fmt::format("it opens {} buckets, or another one than {}", account.buckets->size(),
                            pool.bucket),
                "make one that is limited to this bucket"};
    std::vector<std::string> wide;
    std::ranges::copy_if(account.capabilities, std::back_inserter(wide), [](auto& capability) {
        return std::ranges::find(kNeeded, capability) == kNeeded.end();
    });
    if (!wide.empty())
        return {"key", Grade::warn,
                conf::printable(fmt::format("it may as well: {}", fmt::join(wide, ", "))),
                fmt::format("what is needed: {}", fmt::join(kNeeded, ", "))};
    return {"key", Grade::ok, "is limited to the bucket, and to what is needed of it"};
}

Diagnosis judge_lifecycle(const std::vector<serve::B2LifecycleRule>& rules, std::string_view keys) {
    const auto touches = [keys](const serve::B2LifecycleRule& rule) {
        return rule.prefix.starts_with(keys) || keys.starts_with(rule.prefix);
    };
    for (const serve::B2LifecycleRule& rule : rules) {
        if (touches(rule) && rule.days_to_hiding)
            return {"lifecycle", Grade::fail,
                    fmt::format("names that begin with {} are hidden {} days after their upload",
                                conf::quote(rule.prefix), *rule.days_to_hiding),
                    "images go away by themselves: set daysFromUploadingToHiding to null"};
    }
    for (const serve::B2LifecycleRule& rule : rules) {
        if (keys.starts_with(rule.prefix) && rule.days_to_deleting)
            return {"lifecycle", Grade::ok,
                    fmt::format("old versions go {} days after they were hidden",
                                *rule.days_to_deleting)};
    }
    return {"lifecycle", Grade::warn, "old versions are kept, and paid, for ever",
            fmt::format(R"(b2 bucket update --lifecycle-rule '{{"fileNamePrefix": "{}", )"
                        R"("daysFromUploadingToHiding": null, "daysFromHidingToDeleting": 1}}' )"
                        "BUCKET",
                        keys)};
}

std::vector<Diagnosis> look_at_bucket(const conf::PoolSettings& pool, std::string_view url_prefix,
                                      const storage::HttpLimits& limits) {
    if (!is_of_b2(pool)) return {};
    storage::S3Http http(limits);
    const auto said = ask_b2(
        http, serve::authorize_account(pool.native_url, pool.access_key_id, pool.secret_access_key),
        pool);
    if (!said) return {unknown_of_bucket("key", said.error())};
    const auto account = serve::parse_account(*said, pool.native_url);
    if (!account) return {unknown_of_bucket("key", account.error())};
    std::vector<Diagnosis> findings{judge_key(*account, pool)};
    const auto listed = ask_b2(http, serve::list_buckets(*account, pool.bucket), pool);
    const auto rules =
        listed ? serve::parse_lifecycle(*listed, pool.bucket)
               : Result<std::vector<serve::B2LifecycleRule>>(std::unexpected(listed.error()));
    findings.push_back(
        rules ? judge_lifecycle(*rules, pool.path_prefix + std::string(url_prefix.substr(1)))
              : unknown_of_bucket("lifecycle", rules.error()));
    return findings;
}

}  // namespace tidepool::cli
