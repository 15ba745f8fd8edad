#include "proxy/serve/handler.h"

#include "proxy/http/conditional.h"
#include "proxy/http/range.h"
#include "storage/key.h"

#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

constexpr std::string_view kAllow = "Allow: GET, HEAD, OPTIONS\r\n";

bool is_conditional(const http::RequestHead& head) {
    using http::Known;
    return head.count(Known::if_none_match) + head.count(Known::if_modified_since) +
               head.count(Known::if_match) + head.count(Known::if_unmodified_since) >
           0;
}

http::ConditionVerdict judge(const http::RequestHead& head, const CachedFile& file,
                             std::int64_t now) {
    std::string joined_match;
    std::string joined_none_match;
    const auto list = [&head](http::Known field,
                              std::string& joined) -> std::optional<std::string_view> {
        if (head.count(field) == 0) return std::nullopt;
        return head.list(field, joined);
    };
    const http::Conditions conditions{
        .if_match = list(http::Known::if_match, joined_match),
        .if_unmodified_since = head.single(http::Known::if_unmodified_since),
        .if_none_match = list(http::Known::if_none_match, joined_none_match),
        .if_modified_since = head.single(http::Known::if_modified_since),
    };
    return http::judge_conditions(conditions, {file.etag, file.last_modified}, now);
}

// Range is defined for GET alone (RFC 9110, 14.2). An If-Range that was sent twice names nothing.
bool is_ranged(const http::RequestHead& head, const CachedFile& file, std::int64_t now) {
    using http::Known;
    if (head.method != http::Method::get || head.count(Known::range) != 1) return false;
    return head.count(Known::if_range) == 0 ||
           http::range_applies(head.single(Known::if_range), {file.etag, file.last_modified}, now);
}

}  // namespace

FileHandler::FileHandler(loop::Loop& loop, FileFinder& finder, HandlerRules rules,
                         AccessLogWriter* log)
    : loop_(loop), finder_(finder), rules_(std::move(rules)), log_(log) {}

std::optional<http::Response> FileHandler::respond_now(const http::RequestHead& head,
                                                       const http::Peer&) {
    if (head.method == http::Method::options) return options();
    if (head.method == http::Method::other) return problem(405, {}, "method not allowed", kAllow);

    const storage::KeyVerdict verdict = storage::key_from_path(head.path, rules_.url_prefix, key_);
    if (verdict == storage::KeyVerdict::malformed) return problem(400, {}, "malformed path");
    if (verdict == storage::KeyVerdict::absent) return absent({}, {});

    FileCache::Lookup known = finder_.cache().find(key_, loop_.now_ms());
    if (known.state == FileCache::State::ageing) loop_.tasks().spawn(check(key_));
    if (known.state == FileCache::State::unknown || known.state == FileCache::State::stale) {
        return std::nullopt;
    }
    // Somebody rewrites it in place: no answer may begin with the old version's head. Content in
    // memory may be served until it is stale, as it is whole.
    if (known.file && !known.file->in_memory() && !known.file->file->unchanged())
        return std::nullopt;
    return known.file ? present(head, std::move(known.file), true) : absent(key_, kStatusAbsent);
}

loop::Task<http::Response> FileHandler::respond(const http::RequestHead& head, const http::Peer&) {
    std::string key;
    storage::key_from_path(head.path, rules_.url_prefix, key);
    const FileCache::Lookup known = finder_.cache().find(key, loop_.now_ms());
    FileFinder::Found found = co_await finder_.find(loop_, key);
    if (found.error) co_return failed(key, *found.error);
    if (!found.file) co_return absent(key, kStatusAbsentMiss);
    const bool was_cached = found.file == known.file;
    co_return present(head, std::move(found.file), was_cached);
}

loop::Task<> FileHandler::check(std::string key) {
    co_await finder_.find(
        loop_, std::move(key));  // a failure is logged there, and found again by who needs the file
}

http::Response FileHandler::present(const http::RequestHead& head,
                                    std::shared_ptr<const CachedFile> file, bool was_cached) {
    const bool in_memory = file->in_memory();
    const std::string_view cache_status = !was_cached ? kStatusMiss
                                          : in_memory ? kStatusMemory
                                                      : kStatusFile;
    const std::int64_t now = loop_.wall_s();
    http::Response response;
    if (is_conditional(head)) {
        const http::ConditionVerdict verdict = judge(head, *file, now);
        if (verdict == http::ConditionVerdict::precondition_failed) {
            return problem(412, {}, "precondition failed", fmt::format("ETag: {}\r\n", file->etag));
        }
        if (verdict == http::ConditionVerdict::not_modified) {
            response.status = 304;
            response.has_body = false;
            response.shared_head = file->head_304;
        }
    }
    http::RangeChoice choice;
    if (response.status == 200 && is_ranged(head, *file, now))
        choice = http::choose_ranges(head.single(http::Known::range), file->identity.size,
                                     rules_.range_limit);
    if (choice.kind == http::RangeChoice::Kind::unsatisfiable) {
        response =
            problem(416, {}, "", fmt::format("Content-Range: bytes */{}\r\n", file->identity.size));
    } else if (choice.kind == http::RangeChoice::Kind::partial) {
        response = partial(choice.ranges, file, cache_status);
    } else if (response.status == 200) {
        response.shared_head = file->head_200;
        response.body_bytes = file->identity.size;
        if (in_memory) {
            response.shared_body = file->body;
        } else if (head.method == http::Method::get) {
            response.parts.push_back(slice(file, 0, file->identity.size));
        }
    }
    if (!was_cached && !response.shared_head.empty()) {
        // The prepared head says that it came from the cache; this answer did not.
        const std::string_view prepared_status = in_memory ? kStatusMemory : kStatusFile;
        response.head =
            response.shared_head.substr(0, response.shared_head.size() - prepared_status.size());
        response.head += cache_status;
    }
    response.source = !was_cached ? http::Source::disk
                      : in_memory ? http::Source::memory
                                  : http::Source::file;
    response.owner = std::move(file);
    return response;
}

// RFC 9110, 15.3.7.
http::Response FileHandler::partial(const std::vector<http::ByteRange>& ranges,
                                    const std::shared_ptr<const CachedFile>& file,
                                    std::string_view cache_status) {
    const std::uint64_t size = file->identity.size;
    http::Response response;
    response.status = 206;
    // Put together by hand: ranges are asked for by the hundred thousand.
    std::string& head = response.head;
    head.reserve(256 + file->fields.size() + cache_status.size());
    head = "HTTP/1.1 206 Partial Content\r\nContent-Type: ";
    const auto number = [&head](std::uint64_t value) {
        const fmt::format_int digits(value);
        head.append(digits.data(), digits.size());
    };
    if (ranges.size() == 1) {
        const http::ByteRange& range = ranges.front();
        response.body_bytes = range.length;
        response.parts.push_back(slice(file, range.first, range.length));
        head += file->content_type;
        head += "\r\nContent-Range: bytes ";
        number(range.first);
        head += '-';
        number(range.end() - 1);
        head += '/';
        number(size);
    } else {
        // Content cannot be made to contain its own digest, so no file holds its own boundary.
        const std::string boundary = "tidepool-" + file->etag.substr(1, 32);
        head += "multipart/byteranges; boundary=" + boundary;
        for (const http::ByteRange& range : ranges) {
            std::string text =
                fmt::format("\r\n--{}\r\nContent-Type: {}\r\nContent-Range: bytes {}-{}/{}\r\n\r\n",
                            boundary, file->content_type, range.first, range.end() - 1, size);
            response.body_bytes += text.size() + range.length;
            response.parts.emplace_back(std::move(text));
            response.parts.push_back(slice(file, range.first, range.length));
        }
        std::string end = fmt::format("\r\n--{}--\r\n", boundary);
        response.body_bytes += end.size();
        response.parts.emplace_back(std::move(end));
    }
    head += "\r\nContent-Length: ";
    number(response.body_bytes);
    head += "\r\nAccept-Ranges: bytes\r\n";
    head += file->fields;
    head += cache_status;
    return response;
}

http::Part FileHandler::slice(const std::shared_ptr<const CachedFile>& file, std::uint64_t offset,
                              std::uint64_t length) {
    if (file->in_memory()) return file->body.substr(offset, length);
    return http::FilePart{file->file, &finder_.workers_of(file->pool), offset, length};
}

http::Response FileHandler::options() {
    http::Response response;
    response.status = 204;
    response.has_body = false;
    response.head = fmt::format("HTTP/1.1 204 No Content\r\n{}{}", kAllow,
                                rules_.serve->policy.lines({}, 204, {}));
    return response;
}

http::Response FileHandler::problem(int status, std::string_view key, std::string_view text,
                                    std::string_view fields) {
    static constexpr std::string_view kText = "text/plain; charset=utf-8";
    const std::string body = text.empty() ? std::string() : std::string(text) + '\n';
    return http::text_response(
        status, kText, body,
        fmt::format("{}{}", rules_.serve->policy.lines(key, status, kText), fields));
}

http::Response FileHandler::absent(std::string_view key, std::string_view cache_status) {
    http::Response response = problem(404, key, "not found", cache_status);
    response.source = http::Source::absent;
    return response;
}

// It is there or not, but we cannot tell or read it now (invariant 8: nobody keeps this answer).
http::Response FileHandler::failed(std::string_view key, const Error& error) {
    const int retry_s = error.kind == ErrorKind::busy ? 1 : 5;
    return problem(503, key, "temporarily unavailable",
                   fmt::format("Retry-After: {}\r\n", retry_s));
}

http::Response FileHandler::refuse(http::Refusal refusal) {
    const int status = http::status_of(refusal);
    const std::string_view retry = status == 429 || status == 503 ? "Retry-After: 5\r\n" : "";
    return problem(status, {}, http::name(refusal), retry);
}

void FileHandler::finished(const http::Exchange& exchange) {
    if (log_ != nullptr) log_->write(exchange);
}

}  // namespace tidepool::serve
