#include "proxy/serve/handler.h"

#include "proxy/http/conditional.h"
#include "proxy/http/range.h"
#include "storage/key.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

constexpr std::string_view kAllow = "Allow: GET, HEAD, OPTIONS\r\n";
// The longest that a client is told to wait; a budget may be used up for the rest of the day.
constexpr std::int64_t kMostRetryS = 3600;
constexpr std::size_t kMostCdnLoop = 1024;
constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kJson = "application/json";

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
    return http::judge_conditions(conditions, {file.etag(), file.last_modified}, now);
}

// Range is defined for GET alone (RFC 9110, 14.2). An If-Range that was sent twice names nothing.
bool is_ranged(const http::RequestHead& head, const CachedFile& file, std::int64_t now) {
    using http::Known;
    if (head.method != http::Method::get || head.count(Known::range) != 1) return false;
    return head.count(Known::if_range) == 0 ||
           http::range_applies(head.single(Known::if_range), {file.etag(), file.last_modified},
                               now);
}

// The client names JSON in Accept; who takes anything gets text.
bool wants_json(const http::RequestHead& head) {
    return head.single("accept").find(kJson) != std::string_view::npos;
}

// For programs; they do not change.
std::string_view error_code(int status) {
    switch (status) {
        case 400:
            return "bad_request";
        case 403:
            return "forbidden";
        case 404:
            return "not_found";
        case 405:
            return "method_not_allowed";
        case 410:
            return "gone";
        case 412:
            return "precondition_failed";
        case 422:
            return "unprocessable_image";
        case 429:
            return "too_many_requests";
        default:
            return "temporarily_unavailable";
    }
}

// As text, or as JSON for who asks for that: which no cache may keep, as it does not tell the two
// apart.
http::Response error_answer(const http::RequestHead* head, int status, std::string_view text,
                            std::string_view lifetime, std::string_view fields) {
    if (head != nullptr && !text.empty() && wants_json(*head)) {
        return http::text_response(
            status, kJson,
            fmt::format("{{\"error\":\"{}\",\"message\":\"{}\"}}\n", error_code(status), text),
            fmt::format("{}{}", kNoStore, fields));
    }
    const std::string body = text.empty() ? std::string() : std::string(text) + '\n';
    return http::text_response(status, kText, body, fmt::format("{}{}", lifetime, fields));
}

}  // namespace

FileHandler::FileHandler(loop::Loop& loop, FileFinder& finder, Origin& origin,
                         http::Fetcher& fetcher, HandlerRules rules, AccessLogWriter* log)
    : loop_(loop),
      finder_(finder),
      origin_(origin),
      fetcher_(fetcher),
      rules_(std::move(rules)),
      log_(log) {}

// The key that a path names in one of the shapes that are understood (contracts: pixelfox.md, Keys,
// paths and URLs): /uploads/... as it is, and B2's own /file/BUCKET/KEY.
storage::KeyVerdict FileHandler::key_of(std::string_view path, std::string& key) const {
    storage::KeyVerdict verdict = storage::key_from_path(path, rules_.url_prefix, key);
    if (verdict != storage::KeyVerdict::absent) return verdict;
    for (const UrlShape& shape : rules_.more_shapes) {
        verdict = storage::key_from_path(path, shape.prefix, key);
        if (verdict != storage::KeyVerdict::good) continue;
        key.erase(0, shape.stripped);
        return verdict;
    }
    return storage::KeyVerdict::absent;
}

// Before a signature is looked at, so that who guesses at them is slowed down. No rule of the
// configuration gives the answer a lifetime: caches would keep it for those who may have the image.
std::optional<http::Response> FileHandler::turn_away(const http::RequestHead& head,
                                                     const http::Peer& peer) {
    if (key_of(head.path, wanted_.key) != storage::KeyVerdict::good) return std::nullopt;
    const auto refusal = rules_.guard->judge(head, peer, wanted_.key, loop_.now_ms());
    if (!refusal) return std::nullopt;
    std::string fields(kNoStoreInCdns);
    if (refusal->retry_s > 0) fields += fmt::format("Retry-After: {}\r\n", refusal->retry_s);
    return error_answer(&head, refusal->status, refusal->text, kNoStore, fields);
}

// Nothing: it is found. Else what is answered.
std::optional<http::Response> FileHandler::find_wanted(const http::RequestHead& head,
                                                       Wanted& wanted) {
    wanted.is_signed = false;
    wanted.is_let_in = false;
    const storage::KeyVerdict verdict = key_of(head.path, wanted.key);
    if (verdict == storage::KeyVerdict::malformed) return problem(&head, 400, {}, "malformed path");
    if (verdict == storage::KeyVerdict::absent) return absent(head, {}, {});
    // Below a private prefix it is nobody's business what is there, so nothing is looked for.
    const PrivateRules& access = rules_.serve->access;
    if (auto kept_out = keep_out(head, wanted, access.covers(wanted.key))) return kept_out;
    if (rules_.signed_variants == nullptr) return std::nullopt;
    if (auto refused = find_signed(head, wanted)) return refused;
    return keep_out(head, wanted, wanted.is_signed && access.covers(wanted.key));
}

std::optional<http::Response> FileHandler::keep_out(const http::RequestHead& head, Wanted& wanted,
                                                    bool is_private) {
    if (!is_private || wanted.is_let_in) return std::nullopt;
    const SignatureVerdict verdict = rules_.serve->access.judge(head, loop_.wall_s());
    wanted.is_let_in = verdict == SignatureVerdict::good;
    if (wanted.is_let_in) return std::nullopt;
    private_counters_.count(verdict);
    const PrivateRefusal refusal = refusal_of(verdict);
    return error_answer(&head, refusal.status, refusal.text, kNoStore, {});
}

std::optional<http::Response> FileHandler::find_signed(const http::RequestHead& head,
                                                       Wanted& wanted) {
    auto stored_key = rules_.signed_variants->read(wanted.key);
    if (!stored_key) return std::nullopt;
    // No rule of the configuration gives it a lifetime: what a path is worth changes with the keys.
    if (!*stored_key) {
        const SignedVariants::Refusal& refusal = stored_key->error();
        return error_answer(&head, refusal.status, refusal.text, kNoStore, {});
    }
    wanted.key = std::move(**stored_key);
    wanted.is_signed = true;
    return std::nullopt;
}

std::optional<http::Response> FileHandler::respond_now(const http::RequestHead& head,
                                                       const http::Peer& peer) {
    if (head.method == http::Method::options) return options();
    if (head.method == http::Method::other)
        return problem(&head, 405, {}, "method not allowed", kAllow);
    if (head.count(http::Known::cdn_loop) > 0 && is_own_loop(head)) return loop_detected();

    if (rules_.guard != nullptr) {
        if (auto refused = turn_away(head, peer)) return refused;
    }
    if (auto refused = find_wanted(head, wanted_)) return refused;
    const std::string& key = wanted_.key;
    FileCache::Lookup known = finder_.cache().find(key, loop_.now_ms());
    if (known.state == FileCache::State::ageing) loop_.tasks().spawn(check(key));
    if (known.state == FileCache::State::unknown || known.state == FileCache::State::stale) {
        return std::nullopt;
    }
    if (!known.file && (is_made_on_demand(wanted_) || is_made_at_upload(wanted_)))
        return std::nullopt;
    if (!known.file) return absent(head, key, kStatusAbsent);
    if (auto kept_out = keep_out(head, wanted_, known.file->is_private)) return kept_out;
    if (known.file->is_deleted()) return gone(head, key, *known.file, kStatusAbsent);
    if (known.file->is_redirected) return redirect(head, *known.file, key);
    // Somebody rewrites it in place: no answer may begin with the old version's head. Content in
    // memory may be served until it is stale, as it is whole.
    if (known.file->held == CachedFile::Held::in_file && !known.file->file->unchanged())
        return std::nullopt;
    const Choice choice = choose(head, *known.file);
    if (known.file->held == CachedFile::Held::remote && choice.needs_body(head))
        return std::nullopt;
    return present(head, choice, std::move(known.file), true);
}

loop::Task<http::Response> FileHandler::respond(const http::RequestHead& head, const http::Peer&) {
    Wanted wanted;
    if (auto refused = find_wanted(head, wanted)) co_return std::move(*refused);
    std::string& key = wanted.key;
    FileCache::Lookup known = finder_.cache().find(key, loop_.now_ms());
    const bool is_fresh =
        known.state != FileCache::State::unknown && known.state != FileCache::State::stale;
    // Absent ones come here only to be made. Whether they would be private is not known of them.
    const bool is_known = is_fresh && (known.file ? known.file->held == CachedFile::Held::remote
                                                  : wanted.is_let_in && is_made_on_demand(wanted));
    FileFinder::Found found{known.file, std::nullopt};
    if (!is_known) found = co_await finder_.find(loop_, key);
    if (found.error) co_return failed(head, key, *found.error);
    if (!found.file && is_made_on_demand(wanted)) {
        if (auto kept_out = co_await keep_from_making(head, wanted, found))
            co_return std::move(*kept_out);
        http::Response response = co_await respond_variant(head, std::move(wanted));
        co_return response;
    }
    if (!found.file && is_made_at_upload(wanted)) {
        if (auto kept_out = co_await keep_from_making(head, wanted, found))
            co_return std::move(*kept_out);
        http::Response response = co_await respond_expected(head, std::move(wanted));
        co_return response;
    }
    if (!found.file) co_return absent(head, key, kStatusAbsentMiss);
    const bool was_cached = found.file == known.file;
    http::Response response =
        co_await respond_file(head, std::move(key), std::move(found.file), was_cached);
    co_return response;
}

loop::Task<http::Response> FileHandler::respond_file(const http::RequestHead& head, std::string key,
                                                     std::shared_ptr<const CachedFile> file,
                                                     bool was_cached) {
    Wanted wanted{.key = key};
    if (auto kept_out = keep_out(head, wanted, file->is_private)) co_return std::move(*kept_out);
    if (file->is_deleted()) co_return gone(head, key, *file, kStatusAbsentMiss);
    if (file->is_redirected) co_return redirect(head, *file, key);
    const Choice choice = choose(head, *file);
    if (file->held == CachedFile::Held::remote && choice.needs_body(head)) {
        http::Response response =
            co_await respond_remote(head, std::move(key), std::move(file), choice);
        co_return response;
    }
    co_return present(head, choice, std::move(file), was_cached);
}

// The body comes from a bucket. Its head is sent once the first bytes are here, so that whatever is
// wrong with the bucket by then has a status of its own.
loop::Task<http::Response> FileHandler::respond_remote(const http::RequestHead& head,
                                                       std::string key,
                                                       std::shared_ptr<const CachedFile> file,
                                                       const Choice& choice) {
    auto bodies = co_await open_bodies(head, *file, choice);
    if (bodies) co_return present(head, choice, std::move(file), false, *bodies);
    const Error& error = bodies.error();
    if (error.kind == ErrorKind::not_found) {
        auto moved = co_await finder_.find_moved(loop_, *file->remote);
        if (moved && moved->error) co_return failed(head, key, *moved->error);
        if (moved && moved->file) {
            http::Response response =
                co_await respond_file(head, std::move(key), std::move(moved->file), false);
            co_return response;
        }
        finder_.stores().report_inconsistency(key, file->remote->pool->settings.name, error.text);
    }
    auto copied = co_await respond_copy(head, key, *file->remote);
    if (copied) co_return std::move(*copied);
    if (error.kind != ErrorKind::not_found) co_return failed(head, key, error);
    finder_.missing_in_bucket(key, loop_.now_ms());
    co_return absent(head, key, kStatusAbsentMiss);
}

loop::Task<Result<FileHandler::Bodies>> FileHandler::open_bodies(const http::RequestHead& head,
                                                                 const CachedFile& file,
                                                                 const Choice& choice) {
    std::vector<Stretch> stretches;
    for (const http::ByteRange& range : choice.ranges)
        stretches.push_back({range.first, range.length});
    if (stretches.empty() && file.identity.size > 0) stretches.push_back({0, file.identity.size});
    std::string joined;
    const std::string cdn_loop(head.list(http::Known::cdn_loop, joined));
    Bodies bodies;
    for (const Stretch stretch : stretches) {
        auto body = co_await origin_.open({loop_, fetcher_}, file.remote, stretch, cdn_loop);
        if (!body) co_return std::unexpected(std::move(body.error()));
        bodies.push_back(std::move(*body));
    }
    co_return bodies;
}

// Nothing: there is no copy, or it does not answer either, and then it is not looked for further.
loop::Task<std::optional<http::Response>> FileHandler::respond_copy(const http::RequestHead& head,
                                                                    const std::string& key,
                                                                    const RemoteObject& object) {
    FileFinder::Found copy = co_await finder_.find_copy(loop_, object);
    if (!copy.file) co_return std::nullopt;
    Wanted wanted{.key = key};
    if (auto kept_out = keep_out(head, wanted, copy.file->is_private)) co_return kept_out;
    if (copy.file->is_redirected) co_return redirect(head, *copy.file, key);
    const Choice choice = choose(head, *copy.file);
    Bodies bodies;
    if (copy.file->held == CachedFile::Held::remote && choice.needs_body(head)) {
        auto opened = co_await open_bodies(head, *copy.file, choice);
        if (!opened) co_return std::nullopt;
        bodies = std::move(*opened);
    }
    co_return present(head, choice, std::move(copy.file), false, bodies);
}

// Our own name in CDN-Loop: the request was here before, and would come again (RFC 8586). A list
// longer than any way to us goes round somewhere else; passed on, it could be more than a bucket
// takes, for everybody who shares the fetch.
bool FileHandler::is_own_loop(const http::RequestHead& head) const {
    std::string joined;
    std::string_view list = head.list(http::Known::cdn_loop, joined);
    if (list.size() > kMostCdnLoop) return true;
    while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        std::string_view id = list.substr(0, comma);
        list.remove_prefix(std::min(comma + 1, list.size()));
        id = id.substr(0, id.find(';'));
        const std::size_t first = id.find_first_not_of(" \t");
        if (first == id.npos) continue;
        id = id.substr(first, id.find_last_not_of(" \t") - first + 1);
        if (id == rules_.loop_id) return true;
    }
    return false;
}

http::Response FileHandler::loop_detected() {
    return http::text_response(508, kText, "", kNoStore);
}

http::Response FileHandler::redirect(const http::RequestHead& head, const CachedFile& file,
                                     std::string_view key) {
    count_view(head, file.image);
    // A signed one is for whoever has asked, and ends.
    const bool is_signed = file.is_private || file.location.empty();
    const std::string location =
        is_signed ? signed_location(*file.remote, head.method == http::Method::head, loop_.wall_s())
                  : file.location;
    const CachePolicy& policy = rules_.serve->policy;
    const std::string lifetime =
        is_signed ? std::string(kNoStore)
                  : policy.lines(key, 302, kText) +
                        policy.tag_line({key, file.pool_name(), file.last_modified}, 302, kText);
    http::Response response =
        error_answer(nullptr, 302, "", lifetime, fmt::format("Location: {}\r\n", location));
    response.source = http::Source::origin;
    return response;
}

loop::Task<> FileHandler::check(std::string key) {
    co_await finder_.find(
        loop_, std::move(key));  // a failure is logged there, and found again by who needs the file
}

FileHandler::Choice FileHandler::choose(const http::RequestHead& head,
                                        const CachedFile& file) const {
    const std::int64_t now = loop_.wall_s();
    if (is_conditional(head)) {
        const http::ConditionVerdict verdict = judge(head, file, now);
        if (verdict == http::ConditionVerdict::precondition_failed) return {412, {}};
        if (verdict == http::ConditionVerdict::not_modified) return {304, {}};
    }
    if (!is_ranged(head, file, now)) return {200, {}};
    http::RangeChoice choice = http::choose_ranges(head.single(http::Known::range),
                                                   file.identity.size, rules_.range_limit);
    if (choice.kind == http::RangeChoice::Kind::unsatisfiable) return {416, {}};
    const bool is_remote = file.held == CachedFile::Held::remote;
    if (is_remote && origin_.are_scattered(choice.ranges, file.identity.size)) return {416, {}};
    if (choice.kind == http::RangeChoice::Kind::partial) return {206, std::move(choice.ranges)};
    return {200, {}};
}

http::Response FileHandler::present(const http::RequestHead& head, const Choice& choice,
                                    std::shared_ptr<const CachedFile> file, bool was_cached,
                                    const Bodies& bodies) {
    if (file->is_private && !file->is_unshared && !is_asked_by_edge(head))
        file = for_asker_alone(std::move(file));
    const bool in_memory = file->in_memory();
    const bool is_remote = file->held == CachedFile::Held::remote;
    const std::string_view prepared_status = in_memory   ? kStatusMemory
                                             : is_remote ? kStatusOrigin
                                                         : kStatusFile;
    const std::string_view cache_status = was_cached || is_remote ? prepared_status : kStatusMiss;
    http::Response response;
    switch (choice.status) {
        case 412:
            return problem(&head, 412, {}, "precondition failed",
                           fmt::format("ETag: {}\r\n", file->etag()), file->is_unshared);
        case 416:
            response = problem(&head, 416, {}, "",
                               fmt::format("Content-Range: bytes */{}\r\n", file->identity.size),
                               file->is_unshared);
            break;
        case 304:
            response.status = 304;
            response.has_body = false;
            response.shared_status = "HTTP/1.1 304 Not Modified\r\n";
            response.shared_lines = file->lines_304();
            break;
        case 206:
            count_view(head, file->image);
            response = partial(choice.ranges, file, cache_status, bodies);
            break;
        default:
            count_view(head, file->image);
            response.shared_status = "HTTP/1.1 200 OK\r\n";
            response.shared_lines = file->lines;
            response.body_bytes = file->identity.size;
            if (in_memory) {
                response.shared_body = file->body;
            } else if (head.method == http::Method::get && file->identity.size > 0) {
                response.parts.push_back(slice(file, 0, file->identity.size, bodies, 0));
            }
    }
    if (cache_status != prepared_status && !response.shared_lines.empty()) {
        // The prepared lines say that it came from the cache; this answer did not.
        std::string_view lines = response.shared_lines;
        lines.remove_suffix(prepared_status.size());
        response.head = fmt::format("{}{}{}", response.shared_status, lines, cache_status);
    }
    response.source = is_remote                 ? http::Source::origin
                      : in_memory && was_cached ? http::Source::memory
                      : file->remote            ? http::Source::shelf
                      : was_cached              ? http::Source::file
                                                : http::Source::disk;
    response.owner = std::move(file);
    return response;
}

// RFC 9110, 15.3.7.
http::Response FileHandler::partial(const std::vector<http::ByteRange>& ranges,
                                    const std::shared_ptr<const CachedFile>& file,
                                    std::string_view cache_status, const Bodies& bodies) {
    const std::uint64_t size = file->identity.size;
    http::Response response;
    response.status = 206;
    // Put together by hand: ranges are asked for by the hundred thousand.
    std::string& head = response.head;
    head.reserve(256 + file->shared_lines().size() + cache_status.size());
    head = "HTTP/1.1 206 Partial Content\r\nContent-Type: ";
    const auto number = [&head](std::uint64_t value) {
        const fmt::format_int digits(value);
        head.append(digits.data(), digits.size());
    };
    if (ranges.size() == 1) {
        const http::ByteRange& range = ranges.front();
        response.body_bytes = range.length;
        response.parts.push_back(slice(file, range.first, range.length, bodies, 0));
        head += file->content_type;
        head += "\r\nContent-Range: bytes ";
        number(range.first);
        head += '-';
        number(range.end() - 1);
        head += '/';
        number(size);
    } else {
        // Content cannot be made to contain its own digest, so no file holds its own boundary.
        const std::string boundary = fmt::format("tidepool-{}", file->etag().substr(1, 32));
        head += "multipart/byteranges; boundary=" + boundary;
        for (std::size_t index = 0; index < ranges.size(); ++index) {
            const http::ByteRange& range = ranges[index];
            std::string text =
                fmt::format("\r\n--{}\r\nContent-Type: {}\r\nContent-Range: bytes {}-{}/{}\r\n\r\n",
                            boundary, file->content_type, range.first, range.end() - 1, size);
            response.body_bytes += text.size() + range.length;
            response.parts.emplace_back(std::move(text));
            response.parts.push_back(slice(file, range.first, range.length, bodies, index));
        }
        std::string end = fmt::format("\r\n--{}--\r\n", boundary);
        response.body_bytes += end.size();
        response.parts.emplace_back(std::move(end));
    }
    head += "\r\nContent-Length: ";
    number(response.body_bytes);
    head += "\r\nAccept-Ranges: bytes\r\n";
    head += file->shared_lines();
    head += cache_status;
    return response;
}

// A HEAD of a bucket's object has no bodies, and none of its parts is sent.
http::Part FileHandler::slice(const std::shared_ptr<const CachedFile>& file, std::uint64_t offset,
                              std::uint64_t length, const Bodies& bodies, std::size_t number) {
    if (file->in_memory()) return file->body.substr(offset, length);
    if (file->held == CachedFile::Held::in_file)
        return http::FilePart{file->file, file->readers, offset, length};
    if (number >= bodies.size()) return std::string();
    return http::IncomingPart{bodies[number], offset, length};
}

http::Response FileHandler::options() {
    http::Response response;
    response.status = 204;
    response.has_body = false;
    response.head = fmt::format("HTTP/1.1 204 No Content\r\n{}{}", kAllow,
                                rules_.serve->policy.lines({}, 204, {}));
    return response;
}

// JSON for a client that asks for it. The edge keeps one answer for all who ask, so it may not keep
// that one. What it may keep has the image's tag, so that what is purged with it are absences, too.
http::Response FileHandler::problem(const http::RequestHead* head, int status, std::string_view key,
                                    std::string_view text, std::string_view fields,
                                    bool is_unshared) {
    return error_answer(head, status, text, lifetime_of(key, status, is_unshared), fields);
}

http::Response FileHandler::absent(const http::RequestHead& head, std::string_view key,
                                   std::string_view cache_status) {
    http::Response response = problem(&head, 404, key, "not found", cache_status);
    response.source = http::Source::absent;
    return response;
}

http::Response FileHandler::gone(const http::RequestHead& head, std::string_view key,
                                 const CachedFile& file, std::string_view cache_status) {
    http::Response response = problem(&head, 410, key, "gone", cache_status, file.is_unshared);
    response.source = http::Source::absent;
    return response;
}

// It is there or not, but we cannot tell or read it now (invariant 8: nobody keeps this answer).
http::Response FileHandler::failed(const http::RequestHead& head, std::string_view key,
                                   const Error& error) {
    int status = 503;
    std::int64_t retry_s = error.kind == ErrorKind::busy ? 1 : 5;
    if (error.kind == ErrorKind::corrupt) {
        status = 502;  // a store, that gave something else than the catalog says
    } else if (error.store) {
        // A store: 504 where it did not answer in time, 503 where it or its guards say when to come
        // again or let nobody in, 502 for whatever else it did.
        const bool comes_again = error.kind == ErrorKind::capped ||
                                 error.kind == ErrorKind::overloaded || error.store->unauthorized;
        status = comes_again ? 503 : error.kind == ErrorKind::timed_out ? 504 : 502;
        retry_s = std::clamp<std::int64_t>(error.store->retry_after.count(), retry_s, kMostRetryS);
    }
    return problem(&head, status, key, "temporarily unavailable",
                   fmt::format("Retry-After: {}\r\n", retry_s));
}

// No rule of the configuration gives it a lifetime: what is wrong is the request, of which the
// edge's key has only the URL, and that one may be an image's.
http::Response FileHandler::refuse(http::Refusal refusal, const http::RequestHead*) {
    const int status = http::status_of(refusal);
    std::string fields(kNoStoreInCdns);
    if (status == 429 || status == 503) fields += "Retry-After: 5\r\n";
    return error_answer(nullptr, status, http::name(refusal), kNoStore, fields);
}

void FileHandler::finished(const http::Exchange& exchange) {
    if (log_ != nullptr) log_->write(exchange);
}

}  // namespace tidepool::serve
