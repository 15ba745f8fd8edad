#include "proxy/api/api_key.h"

#include "conf/ascii.h"
#include "conf/bytes.h"
#include "conf/digest.h"
#include "conf/random_name.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tidepool::api {

namespace {

constexpr std::size_t kIdDigits = 12;
constexpr int kRandomParts = 4;  // of 64 bits
constexpr std::size_t kLeastIdDigits = 4;
constexpr std::size_t kKeyPage = 1000;  // of a list that is wanted whole

template <class Number>
void read_limit(const nlohmann::json& json, const char* name, std::optional<Number>& into) {
    const auto found = json.find(name);
    if (found != json.end() && found->is_number_unsigned()) into = found->get<Number>();
}

// An owner is what tokens name as their user.
bool is_good_owner(std::string_view owner) {
    const auto is_visible = [](char c) { return c > ' ' && c < 0x7f; };
    return !owner.empty() && owner.size() <= kMostOwnerBytes &&
           std::ranges::all_of(owner, is_visible);
}

std::expected<std::optional<std::uint64_t>, FieldProblem> read_size_wish(const char* field,
                                                                         const std::string& text) {
    if (text.empty()) return std::nullopt;
    const auto size = conf::parse_size(text);
    if (!size) return std::unexpected(FieldProblem{field, size.error().text});
    return *size;
}

// The digest whose digits begin so and go on with this one; nothing where that is none.
std::optional<conf::Sha256Digest> hash_beginning(std::string_view digits, char rest) {
    std::string text(digits);
    text.resize(std::max(text.size(), 2 * conf::Sha256Digest().size()), rest);
    // Ids are shown in lower case.
    if (conf::lower_case(text) != text) return std::nullopt;
    return conf::parse_sha256(text);
}

}  // namespace

std::string text_of(const KeyLimits& limits) {
    nlohmann::json json = nlohmann::json::object();
    if (limits.quota_bytes) json["quota"] = *limits.quota_bytes;
    if (limits.max_size_bytes) json["max_size"] = *limits.max_size_bytes;
    if (limits.per_minute) json["per_minute"] = *limits.per_minute;
    return json.dump();
}

KeyLimits read_limits(std::string_view text) {
    KeyLimits limits;
    const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object()) return limits;
    read_limit(json, "quota", limits.quota_bytes);
    read_limit(json, "max_size", limits.max_size_bytes);
    read_limit(json, "per_minute", limits.per_minute);
    return limits;
}

std::expected<storage::KeyRecord, FieldProblem> read_key_wish(const KeyWish& wish,
                                                              std::int64_t now_s) {
    const auto wrong = [](const char* field, std::string message) {
        return std::unexpected(FieldProblem{field, std::move(message)});
    };
    if (!is_good_owner(wish.owner)) {
        return wrong("owner", fmt::format("expected 1 to {} visible ASCII characters, such as the "
                                          "user's number",
                                          kMostOwnerBytes));
    }
    if (wish.name.size() > kMostKeyNameBytes)
        return wrong("name", fmt::format("expected at most {} bytes", kMostKeyNameBytes));
    KeyLimits limits;
    const auto quota = read_size_wish("quota", wish.quota);
    if (!quota) return std::unexpected(quota.error());
    limits.quota_bytes = *quota;
    const auto max_size = read_size_wish("max_size", wish.max_size);
    if (!max_size) return std::unexpected(max_size.error());
    limits.max_size_bytes = *max_size;
    if (wish.per_minute) {
        if (*wish.per_minute < 0 || *wish.per_minute > kMostKeyRate)
            return wrong("rate", fmt::format("expected 0 to {} a minute", kMostKeyRate));
        limits.per_minute = static_cast<unsigned>(*wish.per_minute);
    }
    storage::KeyRecord key{
        .owner = wish.owner, .name = wish.name, .limits = text_of(limits), .created_s = now_s};
    if (!wish.expires.empty()) {
        const auto after = conf::parse_duration(wish.expires);
        if (!after) return wrong("expires", after.error().text);
        key.expires_s = now_s + std::chrono::ceil<std::chrono::seconds>(*after).count();
    }
    return key;
}

std::uint64_t most_bytes(const conf::UploadSettings& settings, const KeyLimits& limits) {
    return std::min(settings.max_size_bytes,
                    limits.max_size_bytes.value_or(settings.max_size_bytes));
}

Result<std::optional<std::uint64_t>> quota_of(storage::Catalog& catalog, std::string_view owner,
                                              std::int64_t now_s) {
    const auto keys = all_keys(catalog, std::string(owner));
    if (!keys) return std::unexpected(keys.error());
    // Where none of them is good any more, a token may be left of the time when one was.
    const bool has_good = std::ranges::any_of(
        *keys, [&](const storage::KeyRecord& key) { return is_good(key, now_s); });
    std::optional<std::uint64_t> most;
    for (const storage::KeyRecord& key : *keys) {
        if (has_good && !is_good(key, now_s)) continue;
        const auto quota = read_limits(key.limits).quota_bytes;
        if (!quota) return std::nullopt;
        most = std::max(most.value_or(0), *quota);
    }
    return most;
}

std::string new_api_key() {
    std::string key = "tp_";
    for (int i = 0; i < kRandomParts; ++i)
        key += conf::random_name();
    return key;
}

std::string key_id(const storage::KeyRecord& key) {
    return conf::hex(key.hash).substr(0, kIdDigits);
}

Result<std::string> make_key(storage::Catalog& catalog, storage::KeyRecord& record) {
    std::string text = new_api_key();
    record.hash = conf::sha256(text);
    if (auto added = catalog.add_key(record); !added)
        return std::unexpected(std::move(added.error()));
    return text;
}

Result<std::vector<storage::KeyRecord>> all_keys(storage::Catalog& catalog,
                                                 const std::string& owner) {
    std::vector<storage::KeyRecord> all;
    storage::KeyFilter filter{.owner = owner};
    while (true) {
        const auto page = catalog.list_keys(filter, kKeyPage);
        if (!page) return std::unexpected(page.error());
        all.insert(all.end(), page->begin(), page->end());
        if (page->size() < kKeyPage) return all;
        filter.after = {.created_s = all.back().created_s, .hash = all.back().hash};
    }
}

Result<storage::KeyRecord> revoke_key(storage::Catalog& catalog, std::string_view id,
                                      std::int64_t now_s) {
    std::vector<storage::KeyRecord> meant;
    const auto first = hash_beginning(id, '0');
    const auto last = hash_beginning(id, 'f');
    if (first && last && id.size() >= kLeastIdDigits) {
        auto found = catalog.keys_between(*first, *last, 2);
        if (!found) return std::unexpected(std::move(found.error()));
        meant = std::move(*found);
    }
    if (meant.size() != 1) {
        const char* const why = meant.empty() ? "there is no good key of this id"
                                              : "several keys begin so: write more of the id";
        return fail(ErrorKind::not_found, fmt::format("{}: {}", id, why));
    }
    const auto revoked = catalog.revoke_key(meant.front().hash, now_s);
    if (!revoked) return std::unexpected(revoked.error());
    meant.front().revoked_s = now_s;
    return meant.front();
}

Json key_json(const storage::KeyRecord& key) {
    const KeyLimits limits = read_limits(key.limits);
    const auto or_null = [](const auto& value) { return value ? Json(*value) : Json(nullptr); };
    return {{"id", key_id(key)},
            {"owner", key.owner},
            {"name", key.name},
            {"quota", or_null(limits.quota_bytes)},
            {"max_size", or_null(limits.max_size_bytes)},
            {"rate", or_null(limits.per_minute)},
            {"created", key.created_s},
            {"expires", key.expires_s == 0 ? Json(nullptr) : Json(key.expires_s)},
            {"revoked", key.revoked_s == 0 ? Json(nullptr) : Json(key.revoked_s)}};
}

bool is_good(const storage::KeyRecord& key, std::int64_t now_s) {
    return key.revoked_s == 0 && (key.expires_s == 0 || key.expires_s > now_s);
}

}  // namespace tidepool::api
