#include "proxy/upload/upload_token.h"

#include "conf/ascii.h"
#include "conf/digest.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tidepool::upload {

namespace {

using TokenJson = nlohmann::json;

constexpr std::size_t kMostUserCharacters = 64;
constexpr std::uint64_t kMostNumber = std::numeric_limits<std::int64_t>::max();

std::span<const std::uint8_t> as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string_view as_text(std::span<const std::uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// True where a JSON number is read back as the same digits.
bool is_plain_number(std::string_view text) {
    if (text.empty() || !std::ranges::all_of(text, conf::is_digit)) return false;
    if (text.size() > 1 && text.front() == '0') return false;
    std::int64_t value = 0;
    return std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc();
}

std::unexpected<Error> malformed() {
    return fail(ErrorKind::denied, "the upload token is malformed");
}

// A member that is a whole number from 0 to what 64 bits with a sign can hold.
std::optional<std::uint64_t> number_in(const TokenJson& payload, std::string_view name) {
    const auto found = payload.find(name);
    if (found == payload.end() || !found->is_number_unsigned()) return std::nullopt;
    const auto value = found->get<std::uint64_t>();
    if (value > kMostNumber) return std::nullopt;
    return value;
}

std::optional<std::string> user_in(const TokenJson& payload) {
    constexpr std::string_view kUser = "user_id";
    if (const auto number = number_in(payload, kUser)) return std::to_string(*number);
    const auto found = payload.find(kUser);
    if (found == payload.end() || !found->is_string()) return std::nullopt;
    auto text = found->get<std::string>();
    const bool is_printable =
        std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7F; });
    if (text.empty() || text.size() > kMostUserCharacters || !is_printable) return std::nullopt;
    return text;
}

std::optional<UploadToken> read_payload(std::string_view text) {
    const TokenJson payload = TokenJson::parse(text, nullptr, false);
    if (!payload.is_object()) return std::nullopt;
    auto user = user_in(payload);
    const auto pool = number_in(payload, "pool_id");
    const auto max_bytes = number_in(payload, "max_bytes");
    const auto expires = number_in(payload, "exp");
    if (!user || !pool || !max_bytes || !expires) return std::nullopt;
    return UploadToken{std::move(*user), static_cast<std::int64_t>(*pool), *max_bytes,
                       static_cast<std::int64_t>(*expires)};
}

// All are tried, whichever fits.
bool is_signed_by_one(std::string_view payload, std::string_view signature,
                      std::span<const conf::Secret> secrets) {
    bool is_signed = false;
    for (const conf::Secret& secret : secrets) {
        const auto expected = conf::hmac_sha256(as_bytes(secret.reveal()), payload);
        const bool fits = conf::equal_in_constant_time(as_text(expected), signature);
        if (fits && !secret.empty()) is_signed = true;
    }
    return is_signed;
}

}  // namespace

std::string sign(const UploadToken& token, std::string_view secret) {
    const std::string user =
        is_plain_number(token.user) ? token.user : TokenJson(token.user).dump();
    const std::string payload =
        fmt::format(R"({{"user_id":{},"pool_id":{},"max_bytes":{},"exp":{}}})", user, token.pool,
                    token.max_bytes, token.expires_s);
    const auto signature = conf::hmac_sha256(as_bytes(secret), payload);
    return fmt::format("{}.{}", conf::base64url(as_bytes(payload)), conf::base64url(signature));
}

Result<UploadToken> verify(std::string_view text, std::span<const conf::Secret> secrets,
                           std::int64_t now_s) {
    const std::size_t dot = text.find('.');
    if (text.size() > kMostTokenBytes || dot == text.npos) return malformed();
    const auto payload = conf::parse_base64url(text.substr(0, dot));
    const auto signature = conf::parse_base64url(text.substr(dot + 1));
    if (!payload || !signature || signature->size() != conf::Sha256Digest().size())
        return malformed();
    // Before the payload is read at all: what a parser makes of it is nobody's business but ours.
    if (!is_signed_by_one(as_text(*payload), as_text(*signature), secrets))
        return fail(ErrorKind::denied, "the upload token is forged");
    auto token = read_payload(as_text(*payload));
    if (!token) return malformed();
    if (now_s >= token->expires_s) return fail(ErrorKind::denied, "the upload token is expired");
    return std::move(*token);
}

}  // namespace tidepool::upload
