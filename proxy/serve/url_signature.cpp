#include "proxy/serve/url_signature.h"

#include "conf/bytes.h"
#include "conf/digest.h"
#include "conf/hex_digit.h"
#include "conf/url_path.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

constexpr std::size_t kTimeDigits = 10;
// By which the clock of whoever signs may be ahead.
constexpr std::int64_t kMostAheadS = 300;
constexpr std::int64_t kLongestS = 10LL * 365 * 86'400;
constexpr std::int64_t kMostTimeS = 9'999'999'999;
constexpr std::string_view kVerify = "verify";
constexpr std::string_view kEnd = "exp";
constexpr std::string_view kSignature = "sig";

std::span<const std::uint8_t> key_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string_view mac_text(const conf::Sha256Digest& mac) {
    return {reinterpret_cast<const char*>(mac.data()), mac.size()};
}

std::optional<std::int64_t> parse_time(std::string_view digits) {
    if (digits.size() != kTimeDigits) return std::nullopt;
    std::int64_t value = 0;
    for (const char c : digits) {
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + (c - '0');
    }
    return value;
}

std::optional<std::string> decoded(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        if (text.front() != '%') {
            out.push_back(text.front());
            text.remove_prefix(1);
            continue;
        }
        const auto byte = conf::escaped_byte(text);
        if (!byte) return std::nullopt;
        out.push_back(static_cast<char>(*byte));
        text.remove_prefix(3);
    }
    return out;
}

// The MAC of a timed token: base64url without padding, or the usual base64 with it.
std::optional<std::vector<std::uint8_t>> parse_mac(std::string_view text) {
    if (auto bytes = conf::parse_base64url(text)) return bytes;
    const auto plain = decoded(text);
    return plain ? conf::parse_base64(*plain) : std::nullopt;
}

struct Parameter {
    std::string_view name;
    std::string_view value;
};

Parameter parameter_of(std::string_view text) {
    const std::size_t equals = std::min(text.find('='), text.size());
    return {text.substr(0, equals), text.substr(std::min(equals + 1, text.size()))};
}

std::size_t count_parameters(std::string_view query, std::string_view name) {
    std::size_t count = 0;
    while (!query.empty()) {
        const std::string_view one = query.substr(0, query.find('&'));
        count += parameter_of(one).name == name ? 1 : 0;
        query.remove_prefix(std::min(one.size() + 1, query.size()));
    }
    return count;
}

bool has_parameters_of_a_signature(std::string_view query) {
    return count_parameters(query, kVerify) + count_parameters(query, kEnd) +
               count_parameters(query, kSignature) >
           0;
}

// The last parameter, taken off with its '&'.
std::string_view take_last(std::string_view& query) {
    const std::size_t separator = query.rfind('&');
    const std::string_view last = separator == query.npos ? query : query.substr(separator + 1);
    query = separator == query.npos ? std::string_view() : query.substr(0, separator);
    return last;
}

std::string with_question_mark(std::string_view query) {
    return query.empty() ? std::string() : fmt::format("?{}", query);
}

// A URL in its parts: "https://host", "/path", "query".
struct UrlParts {
    std::string_view site;
    std::string path;
    std::string_view query;
};

Result<UrlParts> split_to_sign(std::string_view url) {
    UrlParts parts;
    if (const std::size_t scheme = url.find("://");
        url.starts_with("https://") || url.starts_with("http://")) {
        const std::size_t slash = std::min(url.find('/', scheme + 3), url.size());
        parts.site = url.substr(0, slash);
        url.remove_prefix(slash);
    }
    if (!url.starts_with('/'))
        return fail(ErrorKind::invalid, "expected a URL or a path that begins with \"/\"");
    if (url.contains('#')) return fail(ErrorKind::invalid, "a fragment is not sent, so not signed");
    if (!std::ranges::all_of(parts.site, [](char c) { return c > ' ' && c < 0x7F; }))
        return fail(ErrorKind::invalid, "its host is no name");
    const std::string_view path = url.substr(0, url.find('?'));
    parts.query = url.substr(std::min(path.size() + 1, url.size()));
    auto normal = conf::normalised_path(path);
    if (!normal) return fail(ErrorKind::invalid, "an escape in its path is broken");
    parts.path = std::move(*normal);
    if (has_parameters_of_a_signature(parts.query))
        return fail(ErrorKind::invalid, "it has a signature already: verify, exp or sig");
    const auto stands = [](char c) { return conf::stands_in_path(c) || c == '?' || c == '%'; };
    if (!std::ranges::all_of(parts.query, stands))
        return fail(ErrorKind::invalid, "a character of its query is to be escaped");
    return parts;
}

Result<std::int64_t> lifetime_of(const conf::PrivateSettings& settings, const SigningOrder& order) {
    const auto ttl = std::chrono::duration_cast<std::chrono::seconds>(settings.ttl);
    const std::chrono::seconds wanted = order.ttl.value_or(ttl);
    if (wanted.count() < 1) return fail(ErrorKind::invalid, "a ttl is a second or more");
    if (order.form == SignatureForm::timed && wanted > ttl) {
        return fail(ErrorKind::invalid,
                    fmt::format("a timed signature holds for private.ttl ({}) at most: for longer "
                                "take --form absolute, in the API \"form\": \"absolute\"",
                                conf::format_duration(settings.ttl)));
    }
    if (wanted.count() > kLongestS) return fail(ErrorKind::invalid, "a ttl is ten years at most");
    return wanted.count();
}

}  // namespace

std::string_view name_of(SignatureVerdict verdict) {
    switch (verdict) {
        case SignatureVerdict::good:
            return "good";
        case SignatureVerdict::missing:
            return "missing";
        case SignatureVerdict::bad:
            return "bad";
        case SignatureVerdict::expired:
            return "expired";
    }
    return "unknown";
}

std::string_view name_of(SignatureForm form) {
    return form == SignatureForm::timed ? "timed" : "absolute";
}

std::optional<SignatureForm> parse_signature_form(std::string_view name) {
    for (const SignatureForm form : {SignatureForm::timed, SignatureForm::absolute}) {
        if (name_of(form) == name) return form;
    }
    return std::nullopt;
}

std::string timed_token(std::string_view key, std::string_view target, std::int64_t issued_s) {
    const std::string time = fmt::format("{:010}", issued_s);
    const auto mac = conf::hmac_sha256(key_bytes(key), std::string(target) + time);
    return fmt::format("{}-{}", time, conf::base64url(mac));
}

std::string absolute_token(std::string_view key, std::string_view target_with_end) {
    return conf::hex(conf::hmac_sha256(key_bytes(key), target_with_end));
}

std::shared_ptr<const UrlSignatures> UrlSignatures::of(const conf::PrivateSettings& settings) {
    if (settings.signing_key.empty()) return nullptr;
    std::vector<std::string> keys{settings.signing_key.reveal()};
    if (!settings.signing_key_previous.empty())
        keys.push_back(settings.signing_key_previous.reveal());
    return std::make_shared<const UrlSignatures>(
        std::move(keys), std::chrono::duration_cast<std::chrono::seconds>(settings.ttl));
}

SignatureVerdict UrlSignatures::judge(std::string_view path, std::string_view query,
                                      std::int64_t now_s) const {
    std::string_view before = query;
    const Parameter last = parameter_of(take_last(before));
    if (last.name == kVerify && !has_parameters_of_a_signature(before))
        return judge_timed(path, before, last.value, now_s);
    if (last.name == kSignature) return judge_absolute(path, before, last.value, now_s);
    return has_parameters_of_a_signature(query) ? SignatureVerdict::bad : SignatureVerdict::missing;
}

SignatureVerdict UrlSignatures::judge_timed(std::string_view path, std::string_view before,
                                            std::string_view token, std::int64_t now_s) const {
    // The first one: those of base64url may follow.
    const std::size_t dash = token.find('-');
    if (dash == token.npos) return SignatureVerdict::bad;
    const std::string_view time = token.substr(0, dash);
    const auto issued_s = parse_time(time);
    const auto mac = parse_mac(token.substr(dash + 1));
    if (!issued_s || !mac) return SignatureVerdict::bad;
    const std::string_view sent(reinterpret_cast<const char*>(mac->data()), mac->size());
    if (!is_ours(path, with_question_mark(before) + std::string(time), sent))
        return SignatureVerdict::bad;
    if (*issued_s > now_s + kMostAheadS) return SignatureVerdict::bad;
    return now_s < *issued_s + ttl_.count() ? SignatureVerdict::good : SignatureVerdict::expired;
}

SignatureVerdict UrlSignatures::judge_absolute(std::string_view path, std::string_view before,
                                               std::string_view token, std::int64_t now_s) const {
    std::string_view others = before;
    const Parameter end = parameter_of(take_last(others));
    const auto end_s = parse_time(end.value);
    const auto mac = conf::parse_sha256(token);
    if (end.name != kEnd || has_parameters_of_a_signature(others) || !end_s || !mac)
        return SignatureVerdict::bad;
    if (!is_ours(path, with_question_mark(before), mac_text(*mac))) return SignatureVerdict::bad;
    return now_s < *end_s ? SignatureVerdict::good : SignatureVerdict::expired;
}

// All are tried whichever fits, so that the time does not tell which one it is.
bool UrlSignatures::is_ours(std::string_view path, std::string_view rest,
                            std::string_view mac) const {
    std::vector<std::string> messages{fmt::format("{}{}", path, rest)};
    if (const auto normal = conf::normalised_path(path); normal && *normal != path)
        messages.push_back(*normal + std::string(rest));
    bool is_ours = false;
    for (const std::string& message : messages) {
        for (const std::string& key : keys_) {
            const auto expected = conf::hmac_sha256(key_bytes(key), message);
            if (conf::equal_in_constant_time(mac_text(expected), mac)) is_ours = true;
        }
    }
    return is_ours;
}

Result<SignedUrl> sign_url(const conf::PrivateSettings& settings, const SigningOrder& order,
                           std::int64_t now_s) {
    if (settings.signing_key.empty())
        return fail(ErrorKind::misconfigured, "there is no private.signing_key to sign with");
    const auto parts = split_to_sign(order.url);
    if (!parts) return std::unexpected(parts.error());
    const auto lifetime_s = lifetime_of(settings, order);
    if (!lifetime_s) return std::unexpected(lifetime_s.error());

    const std::string& key = settings.signing_key.reveal();
    const std::int64_t ttl_s =
        std::chrono::duration_cast<std::chrono::seconds>(settings.ttl).count();
    const std::int64_t quantum_s =
        std::chrono::duration_cast<std::chrono::seconds>(settings.quantum).count();
    std::int64_t end_s = now_s + *lifetime_s;
    // Who says for how long gets just that.
    if (!order.ttl && quantum_s > 0) end_s -= now_s % quantum_s;
    if (end_s > kMostTimeS) return fail(ErrorKind::invalid, "it would end too late to be written");

    const std::string target = parts->path + with_question_mark(parts->query);
    const char separator = parts->query.empty() ? '?' : '&';
    std::string url;
    if (order.form == SignatureForm::timed) {
        url = fmt::format("{}{}{}{}={}", parts->site, target, separator, kVerify,
                          timed_token(key, target, end_s - ttl_s));
    } else {
        const std::string with_end = fmt::format("{}{}{}={}", target, separator, kEnd, end_s);
        url = fmt::format("{}{}&{}={}", parts->site, with_end, kSignature,
                          absolute_token(key, with_end));
    }
    return SignedUrl{std::move(url), order.form, end_s};
}

}  // namespace tidepool::serve
