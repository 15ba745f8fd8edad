#include "proxy/api/saved_answers.h"

#include "conf/digest.h"
#include "conf/log.h"
#include "proxy/api/pool_json.h"
#include "storage/job_owner.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace tidepool::api {

namespace {

constexpr std::string_view kSealedAnswer = "answer of the admin API";

// No two different calls have the same text.
conf::Sha256Digest digest_of(const ApiCall& call) {
    return conf::sha256(fmt::format("{} {} {}\n{}?{}\n{}", call.method, call.path.size(),
                                    call.query.size(), call.path, call.query, call.body));
}

// For one purpose, from what only the caller and the server know.
conf::Sha256Digest derived(std::string_view purpose, std::string_view token, std::string_view key) {
    const auto base = conf::sha256(token);
    return conf::hmac_sha256(base, fmt::format("{} {}", purpose, key));
}

std::string packed(const ApiAnswer& answer) {
    return text_of(Json{{"fields", answer.fields}, {"body", answer.body}});
}

std::optional<ApiAnswer> unpacked(int status, std::string_view text) {
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object() || !json.contains("fields") || !json.contains("body"))
        return std::nullopt;
    return ApiAnswer{.status = status,
                     .body = json["body"].get<std::string>(),
                     .fields = json["fields"].get<std::string>()};
}

}  // namespace

bool is_idempotency_key(std::string_view key) {
    const auto is_visible = [](char c) { return c > ' ' && c < 0x7f; };
    return !key.empty() && key.size() <= kMostIdempotencyKeyBytes &&
           std::ranges::all_of(key, is_visible);
}

SavedAnswers::SavedAnswers(storage::Catalog& catalog, const conf::Secret& token)
    : catalog_(catalog), token_(token.reveal()), process_(storage::new_job_owner()) {}

ApiAnswer SavedAnswers::again(const storage::SavedCall& known, const storage::SavedCall& call,
                              const conf::SealingKey& sealing) const {
    if (known.request != call.request) {
        return api_error(422, "idempotency_key_reused",
                         "this Idempotency-Key came with another request before");
    }
    if (known.status == 0) {
        return api_error(409, "idempotency_key_in_use",
                         "the request with this Idempotency-Key is still being done",
                         "Retry-After: 1\r\n");
    }
    const auto text = sealing.open(known.answer, kSealedAnswer);
    auto answer = text ? unpacked(known.status, *text) : std::nullopt;
    if (answer) return std::move(*answer);
    return api_error(409, "conflict", "the request was done, but its answer cannot be read");
}

ApiAnswer SavedAnswers::once(std::string_view key, const ApiCall& call,
                             const std::function<ApiAnswer()>& make) {
    const std::int64_t now_s = std::time(nullptr);
    storage::SavedCall saved{.name = derived("name", token_, key),
                             .request = digest_of(call),
                             .process = process_,
                             .begun_s = now_s};
    const conf::SealingKey sealing(derived("answer", token_, key));
    const auto known =
        catalog_.begin_call(saved, storage::has_ended, now_s - storage::Catalog::kSavedCallS);
    if (!known) return api_error(known.error());
    if (*known) return again(**known, saved, sealing);
    ApiAnswer answer = make();
    Result<void> ended;
    if (answer.status >= 500) {
        ended = catalog_.drop_call(saved);
    } else {
        saved.status = answer.status;
        saved.answer = sealing.seal(packed(answer), kSealedAnswer);
        ended = catalog_.end_call(saved);
    }
    if (!ended) conf::log_warn("answer not kept reason=\"{}\"", ended.error().text);
    return answer;
}

}  // namespace tidepool::api
