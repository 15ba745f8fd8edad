#include "proxy/serve/b2_authorizer.h"

#include "conf/quote.h"
#include "conf/random_name.h"
#include "storage/streams.h"

#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

using storage::NextTry;
using storage::StoreFailure;
using Seconds = std::chrono::seconds;

std::chrono::steady_clock::time_point now() {
    return std::chrono::steady_clock::now();
}

// What to mend, in words of the configuration.
std::string_view advice(std::string_view call, const Error& error) {
    if (!error.store) return "";
    // Where nothing was asked the text says why.
    if (error.kind == ErrorKind::capped || error.kind == ErrorKind::overloaded)
        return error.store->status == 0 ? "" : "a limit of the store's account is reached";
    const bool is_first = call == "b2_authorize_account";
    if (error.store->status == 0) return is_first ? "native_url cannot be reached" : "";
    if (error.kind == ErrorKind::misconfigured) return is_first ? "native_url is not B2's" : "";
    if (error.kind != ErrorKind::denied) return "";
    if (is_first) return "B2 does not know access_key_id and secret_access_key, or not any more";
    if (call == "b2_list_buckets")
        return "the key needs the capability listBuckets, or to be limited to this bucket";
    return "the key may not give download authorizations of this bucket";
}

}  // namespace

B2Authorizer::B2Authorizer(const conf::PoolSettings& settings, storage::StoreGate& gate,
                           const storage::HttpLimits& limits)
    : settings_(settings), gate_(gate), http_(limits) {}

// A failure that is known from what an answer says.
StoreFailure B2Authorizer::failed(std::string_view name, Error error) const {
    StoreDetail detail;
    detail.pool = settings_.name;
    auto with_pool =
        fail(error.kind, fmt::format("pool {}: {}: {}", settings_.name, name, error.text),
             std::move(detail));
    // What no B2 wrote came from something in between, that may be gone soon.
    const NextTry next = error.kind == ErrorKind::io ? NextTry::later : NextTry::never;
    return {.error = std::move(with_pool.error()), .next = next};
}

StoreFailure B2Authorizer::explained(std::string_view name, StoreFailure failure) const {
    Error& error = failure.error;
    // A call that does not exist, or that says that what we ask for does not: not B2, or not as we
    // are set up.
    if (error.kind == ErrorKind::invalid || error.kind == ErrorKind::not_found)
        error.kind = ErrorKind::misconfigured;
    // The account's token was got a moment ago; the next try gets another one.
    if (failure.next == NextTry::new_token)
        failure.next = error.store && refuses_token(*error.store) ? NextTry::later : NextTry::never;
    const std::string_view words = advice(name, error);
    if (!words.empty()) error.text += fmt::format(": {}", words);
    return failure;
}

// The body of a good answer.
std::expected<std::string, StoreFailure> B2Authorizer::call(const B2Request& b2,
                                                            std::string_view account_token,
                                                            const std::atomic<bool>* stop) {
    const storage::StoreCall what{.pool = settings_.name, .key = "", .method = b2.name};
    auto passed = gate_.pass(breaker_, what, b2.request.call_class, now(), std::time(nullptr));
    if (!passed)
        return std::unexpected(explained(b2.name, StoreFailure{std::move(passed.error())}));
    storage::MemorySource body(b2.body);
    storage::HttpExchange exchange{.upload_size = b2.body.size(), .stop = stop};
    if (!b2.body.empty()) exchange.upload = &body;
    auto answer = http_.perform(b2.request, exchange);
    if (answer && answer->status == 200) {
        breaker_.report(storage::Outcome::answered, now());
        return std::move(answer->body);
    }
    // A wrong host may send back what it was sent.
    const std::string& basic = b2.request.headers.front().value;
    const auto hide_all = [&](std::string& text) {
        for (const std::string_view secret :
             {std::string_view(settings_.secret_access_key.reveal()), account_token,
              std::string_view(basic)})
            conf::hide(text, secret);
    };
    StoreFailure failure;
    if (answer) {
        hide_all(answer->body);
        failure = storage::failure_of(
            what, storage::StoreAnswer{.status = answer->status,
                                       .body = answer->body,
                                       .request_id = {},
                                       .retry_after = answer->header("retry-after")});
    } else {
        failure = storage::failure_of(what, answer.error().fault, answer.error().text);
    }
    breaker_.report(failure.outcome, now());
    hide_all(failure.error.text);
    return std::unexpected(explained(b2.name, std::move(failure)));
}

std::expected<std::string, StoreFailure> B2Authorizer::find_bucket(const B2Account& account,
                                                                   const std::atomic<bool>* stop) {
    auto allowed = allowed_bucket(account, settings_.bucket);
    if (!allowed) return std::unexpected(failed("download_authorization", allowed.error()));
    if (*allowed) return std::move(**allowed);
    if (!bucket_id_.empty()) return bucket_id_;
    const B2Request listing = list_buckets(account, settings_.bucket);
    const auto body = call(listing, account.authorization, stop);
    if (!body) return std::unexpected(body.error());
    const auto id = parse_bucket_list(*body, settings_.bucket);
    if (!id) return std::unexpected(failed(listing.name, id.error()));
    bucket_id_ = *id;
    return bucket_id_;
}

std::expected<Granted, StoreFailure> B2Authorizer::authorize(const std::atomic<bool>* stop) {
    const B2Request first = authorize_account(settings_.native_url, settings_.access_key_id,
                                              settings_.secret_access_key);
    const auto said = call(first, "", stop);
    if (!said) return std::unexpected(said.error());
    const auto account = parse_account(*said, settings_.native_url);
    if (!account) return std::unexpected(failed(first.name, account.error()));
    auto prefix = allowed_prefix(*account, settings_.path_prefix);
    if (!prefix) return std::unexpected(failed("download_authorization", prefix.error()));
    const auto bucket_id = find_bucket(*account, stop);
    if (!bucket_id) return std::unexpected(bucket_id.error());

    Granted granted{.prefix = std::move(*prefix), .begun = now()};
    granted.lifetime = std::chrono::floor<Seconds>(settings_.download_authorization_lifetime);
    const B2Request last =
        get_download_authorization(*account, *bucket_id, granted.prefix, granted.lifetime);
    const auto body = call(last, account->authorization, stop);
    if (!body) {
        bucket_id_.clear();  // a bucket that was made anew has another
        return std::unexpected(body.error());
    }
    auto token = parse_download_authorization(*body, *bucket_id, granted.prefix);
    if (!token) return std::unexpected(failed(last.name, token.error()));
    granted.grant = {.authorization = std::move(*token),
                     .download_url = settings_.download_url.empty() ? account->download_url
                                                                    : settings_.download_url};
    return granted;
}

Result<void> B2Authorizer::probe(const Granted& granted) {
    // Below the prefix that the token opens, which begins with the pool's.
    const std::string key =
        fmt::format("{}.tidepool-probe/{}", granted.prefix.substr(settings_.path_prefix.size()),
                    conf::random_name());
    const storage::StoreRequest request =
        storage::S3Requests(settings_).friendly_head(key, granted.grant);
    const storage::StoreCall what{.pool = settings_.name, .key = key, .method = request.method};
    auto passed = gate_.pass(gate_.reads, what, request.call_class, now(), std::time(nullptr));
    if (!passed) return passed;
    const auto answer = http_.perform(request, {});
    StoreFailure failure =
        answer ? storage::failure_of(what, storage::StoreAnswer{.status = answer->status})
               : storage::failure_of(what, answer.error().fault, answer.error().text);
    gate_.reads.report(failure.outcome, now());
    if (answer && answer->status == 404) return {};
    conf::hide(failure.error.text, granted.grant.authorization);
    failure.error.text +=
        failure.error.kind == ErrorKind::denied
            ? ": the download host does not take the authorization: look at download_url"
            : ": the download host does not answer as it should: look at download_url";
    return std::unexpected(std::move(failure.error));
}

}  // namespace tidepool::serve
