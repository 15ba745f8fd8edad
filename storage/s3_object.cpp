#include "storage/s3_object.h"

#include <algorithm>
#include <charconv>

namespace tidepool::storage {

namespace {

// Takes a number and what must follow it off the front of `text`.
std::optional<std::uint64_t> take_number(std::string_view& text, std::string_view follows) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (!text.starts_with(follows)) return std::nullopt;
    text.remove_prefix(follows.size());
    return number;
}

}  // namespace

std::string without_quotes(std::string_view etag) {
    if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"')
        etag = etag.substr(1, etag.size() - 2);
    return std::string(etag);
}

std::optional<std::string> md5_in(const HttpAnswer& answer) {
    constexpr std::size_t kMd5Digits = 32;
    const std::string etag = without_quotes(answer.header("etag"));
    const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    const bool is_encrypted = answer.header("x-amz-server-side-encryption").starts_with("aws:kms");
    if (is_encrypted || etag.size() != kMd5Digits || !std::ranges::all_of(etag, is_digit))
        return std::nullopt;
    return etag;
}

ObjectInfo object_of(std::string_view key, const HttpAnswer& answer) {
    return {.key = std::string(key),
            .size = answer.length().value_or(0),
            .modified_s = answer.modified_s,
            .etag = without_quotes(answer.header("etag")),
            .version_id = std::string(answer.header("x-amz-version-id")),
            .content_type = std::string(answer.header("content-type")),
            .sha256 = conf::parse_sha256(answer.header("x-amz-meta-sha256"))};
}

std::optional<ContentRange> parse_content_range(std::string_view text) {
    constexpr std::string_view kUnit = "bytes ";
    if (!text.starts_with(kUnit)) return std::nullopt;
    text.remove_prefix(kUnit.size());
    const auto first = take_number(text, "-");
    const auto last = first ? take_number(text, "/") : std::nullopt;
    const auto total = last ? take_number(text, "") : std::nullopt;
    if (!total || !text.empty() || *first > *last || *last >= *total) return std::nullopt;
    return ContentRange{*first, *last, *total};
}

}  // namespace tidepool::storage
