#include "storage/s3_upload.h"

#include "conf/log.h"
#include "storage/s3_object.h"
#include "storage/streams.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

constexpr std::uint64_t kMostParts = 10'000;

// Fills the buffer as far as the source goes.
Result<std::size_t> read_full(ByteSource& source, std::span<char> into) {
    std::size_t total = 0;
    while (total < into.size()) {
        const auto got = source.read(into.subspan(total));
        if (!got) return got;
        if (*got == 0) break;
        total += *got;
    }
    return total;
}

}  // namespace

std::unexpected<Error> S3Upload::failed(Error error) const {
    if (error.store) return std::unexpected(std::move(error));
    StoreDetail detail;
    detail.pool = client_.pool();
    detail.key = key_;
    error.text = fmt::format("pool {}: PUT {}: {}", client_.pool(), key_, error.text);
    error.store = std::make_shared<const StoreDetail>(std::move(detail));
    return std::unexpected(std::move(error));
}

Result<Uploaded> S3Upload::at_once() {
    CheckedSource checked(source_, options_.size, *options_.sha256);
    // An empty body is never read by the client.
    if (options_.size == 0) {
        if (auto empty = checked.read({}); !empty) return failed(empty.error());
    }
    return send(checked, checked.md5());
}

Result<Uploaded> S3Upload::held(const HeldContent& content) {
    MemorySource source(content.bytes);
    return send(source, content.md5);
}

Result<Uploaded> S3Upload::send(ByteSource& body, const std::optional<conf::Md5Digest>& md5) {
    auto answer = client_.call(
        {.key = key_,
         .request = [&](std::int64_t now) { return client_.requests().put(key_, options_, now); },
         .exchange = {.upload = &body, .upload_size = options_.size}});
    if (!answer) {
        // Perhaps only the answers were lost. Then readers see the object, and it is not a failure.
        const bool may_be_there = answer.error().may_retry();
        const auto stored = may_be_there ? is_stored() : Result<bool>(false);
        if (stored && *stored) return Uploaded{.repeated = true};
        return failed(std::move(answer.error()));
    }
    Uploaded uploaded{.version_id = std::string(answer->http.header("x-amz-version-id")),
                      .repeated = answer->tries > 1};
    if (md5_in(answer->http) && md5) uploaded.md5 = conf::hex(*md5);
    return uploaded;
}

std::uint64_t S3Upload::part_bytes() const {
    return std::max(client_.limits().part_bytes, (options_.size + kMostParts - 1) / kMostParts);
}

Result<Uploaded> S3Upload::in_parts() {
    const auto id = create();
    if (!id) return failed(id.error());
    Error error{};
    if (auto sent = send_parts(*id); !sent) {
        error = std::move(sent.error());
    } else if (auto uploaded = complete(*id); uploaded) {
        return uploaded;
    } else {
        error = std::move(uploaded.error());
    }
    abort(*id);
    return failed(std::move(error));
}

Result<std::string> S3Upload::create() {
    const auto answer =
        client_.call({.key = key_, .request = [&](std::int64_t now) {
                          return client_.requests().create_upload(key_, options_, now);
                      }});
    if (!answer) return std::unexpected(answer.error());
    return parse_upload_id(answer->http.body);
}

Result<void> S3Upload::send_parts(const std::string& id) {
    CheckedSource checked(source_, options_.size, *options_.sha256);
    std::vector<char> buffer(static_cast<std::size_t>(std::min(part_bytes(), options_.size)));
    std::uint64_t sent = 0;
    for (unsigned number = 1; sent < options_.size; ++number) {
        const auto got = read_full(checked, buffer);
        if (!got) return std::unexpected(got.error());
        const auto etag = send_or_find(id, number, {buffer.data(), *got});
        if (!etag) return std::unexpected(etag.error());
        parts_.push_back({number, *got, *etag});
        sent += *got;
    }
    return {};
}

Result<std::string> S3Upload::send_part(const std::string& id, unsigned number,
                                        std::span<const char> content) {
    const std::string_view text(content.data(), content.size());
    const auto sha256 = conf::sha256(text);
    MemorySource source(text);
    const auto answer =
        client_.call({.key = key_,
                      .request =
                          [&](std::int64_t now) {
                              return client_.requests().put_part(key_, id, number, sha256, now);
                          },
                      .exchange = {.upload = &source, .upload_size = content.size()}});
    if (!answer) return std::unexpected(answer.error());
    const auto md5 = md5_in(answer->http);
    if (md5 && *md5 != conf::hex(conf::md5(text)))
        return fail(ErrorKind::corrupt, fmt::format("part {} was stored with another MD5", number));
    return without_quotes(answer->http.header("etag"));
}

// A store may have stored what it then could not say: its list of parts knows.
Result<std::string> S3Upload::send_or_find(const std::string& id, unsigned number,
                                           std::span<const char> content) {
    auto etag = send_part(id, number, content);
    if (etag || !etag.error().may_retry()) return etag;
    const std::string md5 = conf::hex(conf::md5({content.data(), content.size()}));
    const auto found = has_part(id, {number, content.size(), md5});
    if (!found) return etag;  // the first failure says more
    if (*found) return md5;
    return send_part(id, number, content);
}

Result<bool> S3Upload::has_part(const std::string& id, const ListedPart& wanted) {
    const auto answer =
        client_.call({.key = key_, .request = [&](std::int64_t now) {
                          return client_.requests().list_parts(key_, id, wanted.number - 1, now);
                      }});
    if (!answer) return std::unexpected(answer.error());
    const auto listing = parse_part_listing(answer->http.body);
    if (!listing) return std::unexpected(listing.error());
    return std::ranges::any_of(listing->parts, [&](const ListedPart& part) {
        return part.number == wanted.number && part.size == wanted.size && part.etag == wanted.etag;
    });
}

Result<Uploaded> S3Upload::complete(const std::string& id) {
    const std::string body = complete_upload_xml(parts_);
    MemorySource source(body);
    const auto answer =
        client_.call({.key = key_,
                      .request =
                          [&](std::int64_t now) {
                              return client_.requests().complete_upload(key_, id, body, now);
                          },
                      .exchange = {.upload = &source,
                                   .upload_size = body.size(),
                                   .patience = client_.limits().copy_patience},
                      .may_hide_error = true});
    if (answer) return Uploaded{.version_id = std::string(answer->http.header("x-amz-version-id"))};
    // Done by a try whose answer was lost: then the upload is gone, and the object is there.
    const auto stored = is_stored();
    if (stored && *stored) return Uploaded{};
    return std::unexpected(answer.error());
}

Result<bool> S3Upload::is_stored() {
    const auto answer = client_.call({.key = key_, .request = [&](std::int64_t now) {
                                          return client_.requests().head(key_, {}, now);
                                      }});
    if (!answer) return std::unexpected(answer.error());
    const ObjectInfo object = object_of(key_, answer->http);
    return object.size == options_.size && object.sha256 == options_.sha256;
}

void S3Upload::abort(const std::string& id) {
    const auto answer = client_.call({.key = key_, .request = [&](std::int64_t now) {
                                          return client_.requests().abort_upload(key_, id, now);
                                      }});
    if (!answer && answer.error().kind != ErrorKind::not_found)
        conf::log_warn("event=upload_not_aborted pool={} error=\"{}\"", client_.pool(),
                       answer.error().text);
}

}  // namespace tidepool::storage
