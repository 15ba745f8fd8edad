#include "storage/sigv4.h"

#include "conf/ascii.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <tuple>
#include <utility>

namespace tidepool::storage {

namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::size_t kDateBytes = 8;  // "20130524"

// Without the locale: the signature must not depend on it.
constexpr bool is_unreserved(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

std::string encode(std::string_view text, bool keep_slash) {
    static constexpr char kDigits[] = "0123456789ABCDEF";
    std::string encoded;
    encoded.reserve(text.size() + text.size() / 4);
    for (const char c : text) {
        if (is_unreserved(c) || (c == '/' && keep_slash)) {
            encoded.push_back(c);
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        encoded.push_back('%');
        encoded.push_back(kDigits[byte >> 4]);
        encoded.push_back(kDigits[byte & 15]);
    }
    return encoded;
}

// Without blanks at the ends, and with one where several were.
std::string collapsed(std::string_view value) {
    std::string text;
    text.reserve(value.size());
    for (const char c : value) {
        const bool blank = c == ' ' || c == '\t';
        if (!blank) {
            text.push_back(c);
        } else if (!text.empty() && text.back() != ' ') {
            text.push_back(' ');
        }
    }
    if (!text.empty() && text.back() == ' ') text.pop_back();
    return text;
}

// Sorted by name alone, so "a" stands before "a-b" although ':' follows '-'. Equal names become one
// header, in their order.
std::vector<NamedValue> canonical_headers(std::span<const NamedValue> headers) {
    // Inserted one by one: a dozen at most, and equal names must keep their order.
    std::vector<NamedValue> sorted;
    sorted.reserve(headers.size());
    for (const NamedValue& header : headers) {
        NamedValue next{conf::lower_case(header.name), collapsed(header.value)};
        const auto place = std::ranges::upper_bound(sorted, next.name, {}, &NamedValue::name);
        sorted.insert(place, std::move(next));
    }
    std::vector<NamedValue> joined;
    joined.reserve(sorted.size());
    for (NamedValue& header : sorted) {
        if (!joined.empty() && joined.back().name == header.name) {
            joined.back().value += "," + header.value;
        } else {
            joined.push_back(std::move(header));
        }
    }
    return joined;
}

// Requests are signed by the ten thousand a second: texts are put together without a format.
void append(std::string& text, std::initializer_list<std::string_view> parts) {
    for (const std::string_view part : parts)
        text += part;
}

std::string names_of(std::span<const NamedValue> headers) {
    std::string names;
    for (const NamedValue& header : headers) {
        if (!names.empty()) names.push_back(';');
        names += header.name;
    }
    return names;
}

std::string canonical_request(const Signable& request, std::span<const NamedValue> headers) {
    std::string text;
    text.reserve(512 + request.path.size() + request.query.size());
    append(text, {request.method, "\n", request.path, "\n", request.query, "\n"});
    for (const NamedValue& header : headers)
        append(text, {header.name, ":", header.value, "\n"});
    append(text, {"\n", names_of(headers), "\n", request.payload_hash});
    return text;
}

conf::Sha256Digest chain(const std::string& secret, const std::string& day,
                         const std::string& region) {
    const std::string first = "AWS4" + secret;
    const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(first.data()),
                                              first.size());
    const auto of_day = conf::hmac_sha256(bytes, day);
    const auto of_region = conf::hmac_sha256(of_day, region);
    const auto of_service = conf::hmac_sha256(of_region, "s3");
    return conf::hmac_sha256(of_service, "aws4_request");
}

}  // namespace

std::string encode_path(std::string_view path) {
    return encode(path, true);
}

std::string encode_query_text(std::string_view text) {
    return encode(text, false);
}

std::string encode_query(std::span<const NamedValue> parameters) {
    std::vector<NamedValue> encoded;
    encoded.reserve(parameters.size());
    for (const NamedValue& parameter : parameters)
        encoded.push_back({encode(parameter.name, false), encode(parameter.value, false)});
    std::ranges::sort(encoded, {}, [](const NamedValue& p) { return std::tie(p.name, p.value); });
    std::string query;
    for (const NamedValue& parameter : encoded) {
        if (!query.empty()) query.push_back('&');
        query += parameter.name + "=" + parameter.value;
    }
    return query;
}

std::string amz_time(std::int64_t seconds) {
    using namespace std::chrono;
    const sys_seconds time{std::chrono::seconds(seconds)};
    const auto day = floor<days>(time);
    const year_month_day date(day);
    const hh_mm_ss clock(time - day);
    std::string text = "00000000T000000Z";
    const auto put = [&text](std::size_t place, std::size_t digits, std::int64_t value) {
        for (std::size_t at = place + digits; at > place; value /= 10)
            text[--at] = static_cast<char>('0' + value % 10);
    };
    put(0, 4, static_cast<int>(date.year()));
    put(4, 2, static_cast<unsigned>(date.month()));
    put(6, 2, static_cast<unsigned>(date.day()));
    put(9, 2, clock.hours().count());
    put(11, 2, clock.minutes().count());
    put(13, 2, clock.seconds().count());
    return text;
}

Signer::Signer(std::string access_key_id, conf::Secret secret_access_key, std::string region)
    : access_key_id_(std::move(access_key_id)),
      secret_(std::move(secret_access_key)),
      region_(std::move(region)) {}

conf::Sha256Digest Signer::signing_key(const std::string& day) const {
    {
        const std::lock_guard lock(mutex_);
        if (day_ == day) return key_;
    }
    const conf::Sha256Digest key = chain(secret_.reveal(), day, region_);
    const std::lock_guard lock(mutex_);
    day_ = day;
    key_ = key;
    return key;
}

std::string Signer::scope(std::string_view day) const {
    std::string text(day);
    append(text, {"/", region_, "/s3/aws4_request"});
    return text;
}

std::string Signer::authorization(const Signable& request, std::int64_t now) const {
    const std::vector<NamedValue> headers = canonical_headers(request.headers);
    const std::string time = amz_time(now);
    std::string text;
    text.reserve(320);
    append(text, {kAlgorithm, " Credential=", access_key_id_, "/",
                  scope(std::string_view(time).substr(0, kDateBytes)), ", SignedHeaders=",
                  names_of(headers), ", Signature=", signature(request, headers, time)});
    return text;
}

std::string Signer::presigned_query(std::string_view method, std::string_view path,
                                    std::string_view host, std::vector<NamedValue> parameters,
                                    std::int64_t now, std::int64_t lifetime_s) const {
    const std::string time = amz_time(now);
    parameters.push_back({"X-Amz-Algorithm", std::string(kAlgorithm)});
    parameters.push_back(
        {"X-Amz-Credential", access_key_id_ + "/" + scope(time.substr(0, kDateBytes))});
    parameters.push_back({"X-Amz-Date", time});
    parameters.push_back({"X-Amz-Expires", std::to_string(lifetime_s)});
    parameters.push_back({"X-Amz-SignedHeaders", "host"});
    const std::string query = encode_query(parameters);
    const std::vector<NamedValue> headers{{"host", std::string(host)}};
    const Signable request{.method = method,
                           .path = path,
                           .query = query,
                           .headers = headers,
                           .payload_hash = kUnsignedPayload};
    return query + "&X-Amz-Signature=" + signature(request, headers, time);
}

std::string Signer::signature(const Signable& request, std::span<const NamedValue> canonical,
                              const std::string& time) const {
    const std::string day = time.substr(0, kDateBytes);
    const auto hash = conf::sha256(canonical_request(request, canonical));
    std::string text;
    text.reserve(192);
    append(text, {kAlgorithm, "\n", time, "\n", scope(day), "\n", conf::hex(hash)});
    return conf::hex(conf::hmac_sha256(signing_key(day), text));
}

}  // namespace tidepool::storage
