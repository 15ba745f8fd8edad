#include "storage/s3_driver.h"

#include "conf/fault_point.h"
#include "conf/log.h"
#include "conf/random_name.h"
#include "storage/checked_source.h"
#include "storage/s3_download.h"
#include "storage/s3_object.h"
#include "storage/s3_removal.h"
#include "storage/s3_upload.h"
#include "storage/s3_xml.h"
#include "storage/streams.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

// Smaller objects whose SHA-256 is not known yet are held in memory while they are sent, and so
// read and hashed only once.
constexpr std::uint64_t kMostHeldBytes = 1024ULL * 1024;
constexpr std::uint64_t kMostCopyBytes = 5'000'000'000;  // exclusive, decimal

// What `next` of a page begins with: the name behind which to go on, or, where a page named
// nothing, the store's own token.
constexpr char kNameMark = 'n';
constexpr char kTokenMark = 't';

ObjectMarker marker_of(const std::string& next) {
    if (next.empty()) return {};
    if (next.front() == kTokenMark) return {.token = next.substr(1)};
    return {.name = next.substr(1)};
}

std::string probe_key() {
    return fmt::format(".tidepool-probe/{}", conf::random_name());
}

// What to mend, in words of the configuration.
std::string advice(const Error& error) {
    const std::string code = error.store ? error.store->code : "";
    if (code == "NoSuchBucket") return "there is no such bucket: look at bucket and endpoint_url";
    if (code == "InvalidAccessKeyId")
        return "the store does not know access_key_id (B2's master key does not work for S3)";
    if (code == "SignatureDoesNotMatch")
        return "secret_access_key does not belong to access_key_id, or region is wrong";
    if (code == "AuthorizationHeaderMalformed") return "region is not the store's";
    if (code == "RequestTimeTooSkewed") return "this machine's clock is off by many minutes";
    if (error.kind == ErrorKind::denied) return "the key may not do this with this bucket";
    if (error.kind == ErrorKind::capped)
        return "a cap of the store's account, or daily_*, is used up";
    if (error.store && error.store->status == 0) return "endpoint_url cannot be reached";
    if (error.store && error.store->status / 100 == 3)
        return "the bucket is somewhere else: look at endpoint_url and region";
    return "";
}

Error with_advice(Error error) {
    const std::string words = advice(error);
    if (!words.empty()) error.text += ": " + words;
    return error;
}

}  // namespace

S3Driver::S3Driver(const conf::PoolSettings& settings, std::shared_ptr<StoreGate> gate,
                   S3Limits limits)
    : client_(settings, std::move(gate), std::move(limits)) {}

std::unexpected<Error> S3Driver::failed(ErrorKind kind, std::string_view key,
                                        std::string_view why) const {
    StoreDetail detail;
    detail.pool = pool();
    detail.key = key;
    return fail(kind, fmt::format("pool {}: {}: {}", pool(), key, why), std::move(detail));
}

Result<ObjectInfo> S3Driver::put(std::string_view key, ByteSource& source,
                                 const PutOptions& options) {
    PutOptions known = options;
    const bool in_parts = options.size > client_.limits().multipart_above;
    std::optional<HeldContent> held;
    if (!known.sha256 && options.size <= kMostHeldBytes && !in_parts) {
        auto content = hold_source(source, options.size);
        if (!content && content.error().store) return std::unexpected(content.error());
        if (!content) return failed(content.error().kind, key, content.error().text);
        known.sha256 = content->sha256;
        held = std::move(*content);
    } else if (!known.sha256) {
        const auto sha256 = hash_source(source, options.size);
        if (!sha256) return failed(sha256.error().kind, key, sha256.error().text);
        known.sha256 = *sha256;
    }
    S3Upload upload(client_, key, source, known);
    const auto uploaded = held       ? upload.held(*held)
                          : in_parts ? upload.in_parts()
                                     : upload.at_once();
    if (!uploaded) return std::unexpected(uploaded.error());
    fault_point("store.uploaded");
    auto object = verify(key, known, uploaded->version_id, uploaded->md5);
    if (object && uploaded->repeated) remove_repeated(key, object->version_id);
    return object;
}

// Versions that lost answers left: readers do not see them, but they are paid for. The object is
// safe whatever comes of it.
void S3Driver::remove_repeated(std::string_view key, std::string_view version_id) {
    if (version_id.empty()) return;
    if (auto removed = S3Removal(client_, key).older_than(version_id); !removed)
        conf::log_warn("event=old_versions_left pool={} error=\"{}\"", pool(),
                       removed.error().text);
}

// Looks at what was stored: nothing is taken to be there because a store said so once.
Result<ObjectInfo> S3Driver::verify(std::string_view key, const PutOptions& options,
                                    std::string_view version_id, std::string_view md5) {
    std::string stored_md5;
    auto object = head_version(key, version_id, &stored_md5);
    if (!object) {
        if (object.error().kind == ErrorKind::not_found)
            return failed(ErrorKind::io, key, "was stored, and is not there");
        return object;
    }
    if (object->size != options.size) {
        return failed(ErrorKind::corrupt, key,
                      fmt::format("was stored with {} bytes, not {}", object->size, options.size));
    }
    if (!md5.empty() && !stored_md5.empty() && stored_md5 != md5)
        return failed(ErrorKind::corrupt, key, "was stored with another MD5");
    if (object->sha256 && object->sha256 != options.sha256)
        return failed(ErrorKind::corrupt, key, "was stored by somebody else meanwhile");
    object->sha256 = options.sha256;
    return object;
}

Result<ObjectInfo> S3Driver::head_version(std::string_view key, std::string_view version_id,
                                          std::string* md5) {
    const ReadOptions options{.version_id = std::string(version_id)};
    const auto answer = client_.call({.key = key, .request = [&](std::int64_t now) {
                                          return client_.requests().head(key, options, now);
                                      }});
    if (!answer) return std::unexpected(answer.error());
    if (!answer->http.length()) return failed(ErrorKind::io, key, "HEAD gave no length");
    if (md5 != nullptr) *md5 = md5_in(answer->http).value_or("");
    return object_of(key, answer->http);
}

Result<ObjectInfo> S3Driver::head(std::string_view key) {
    return head_version(key, "", nullptr);
}

Result<ObjectInfo> S3Driver::get(std::string_view key, const GetRange& range, ByteSink& sink) {
    if (range.length == 0) return head(key);  // such a range cannot be asked for
    return S3Download(client_, key, range, sink).run();
}

Result<void> S3Driver::remove(std::string_view key) {
    return S3Removal(client_, key).all();
}

Result<ListPage> S3Driver::list(std::string_view prefix, const std::string& next,
                                std::size_t limit) {
    const std::size_t asked = std::clamp<std::size_t>(limit, 1, kMostListed);
    const auto answer = client_.call({.key = prefix, .request = [&](std::int64_t now) {
                                          return client_.requests().list_objects(
                                              prefix, marker_of(next), asked, now);
                                      }});
    if (!answer) return std::unexpected(answer.error());
    auto listing = parse_object_listing(answer->http.body);
    if (!listing) return failed(listing.error().kind, prefix, listing.error().text);
    ListPage page;
    for (ListedObject& object : listing->objects) {
        auto key = client_.requests().key_of(object.name);
        if (!key) return failed(ErrorKind::io, prefix, "the store listed another prefix");
        page.objects.push_back({.key = std::move(*key),
                                .size = object.size,
                                .modified_s = object.modified_s,
                                .etag = std::move(object.etag)});
    }
    if (!listing->is_truncated) return page;
    page.next = listing->objects.empty() ? kTokenMark + listing->next_token
                                         : kNameMark + listing->objects.back().name;
    if (page.next == next) return failed(ErrorKind::io, prefix, "a listing does not go on");
    return page;
}

Result<std::optional<ObjectInfo>> S3Driver::copy_within_store(Driver& from, std::string_view key,
                                                              std::string_view to_key,
                                                              const PutOptions& options) {
    auto* other = dynamic_cast<S3Driver*>(&from);
    if (other == nullptr || options.size >= kMostCopyBytes ||
        !other->client_.requests().same_store(client_.requests())) {
        return std::optional<ObjectInfo>();
    }
    // Which version is copied, and that it is the one that is meant.
    std::string md5;
    const auto source = other->head_version(key, "", &md5);
    if (!source) return std::unexpected(source.error());
    if (source->size != options.size ||
        (source->sha256 && options.sha256 && source->sha256 != options.sha256)) {
        return other->failed(ErrorKind::corrupt, key, "is not what was to be copied");
    }
    PutOptions known = options;
    if (!known.sha256) known.sha256 = source->sha256;
    const std::string copy_source = other->client_.requests().copy_source(key, source->version_id);
    const auto answer =
        client_.call({.key = to_key,
                      .request =
                          [&](std::int64_t now) {
                              return client_.requests().copy(copy_source, to_key, known, now);
                          },
                      .exchange = {.patience = client_.limits().copy_patience},
                      .may_hide_error = true});
    if (!answer) return std::unexpected(answer.error());
    auto copied = verify(to_key, known, answer->http.header("x-amz-version-id"), md5);
    if (!copied) return std::unexpected(copied.error());
    if (answer->tries > 1) remove_repeated(to_key, copied->version_id);
    return std::optional(std::move(*copied));
}

Result<std::vector<std::string>> S3Driver::check(bool for_writing) {
    const auto page = list("", "", 1);
    if (!page && page.error().kind == ErrorKind::denied && !for_writing)
        return check_reading_only(page.error());
    if (!page) return std::unexpected(with_advice(page.error()));
    std::vector<std::string> found{"the bucket can be listed"};
    if (!page->objects.empty()) {
        const auto object = head(page->objects.front().key);
        if (!object && object.error().kind != ErrorKind::not_found)
            return std::unexpected(with_advice(object.error()));
        found.emplace_back("its objects can be read");
        if (object && !object->version_id.empty()) found.emplace_back("versions are kept");
    }
    if (!for_writing) return found;
    if (auto probed = probe_writing(found); !probed)
        return std::unexpected(with_advice(probed.error()));
    return found;
}

// A key for the serving path may read and nothing else. That it may, an absent object shows.
Result<std::vector<std::string>> S3Driver::check_reading_only(const Error& listing) {
    const auto absent = head(probe_key());
    if (!absent && absent.error().kind != ErrorKind::not_found)
        return std::unexpected(with_advice(listing));
    return std::vector<std::string>{
        "objects can be read, but not listed: enough to serve, not to scan, move or remove"};
}

Result<void> S3Driver::probe_writing(std::vector<std::string>& found) {
    const std::string key = probe_key();
    const std::string content = "a probe of tidepool check, to be removed";
    MemorySource source(content);
    const auto stored = put(key, source, {.size = content.size(), .content_type = "text/plain"});
    if (!stored) return std::unexpected(stored.error());
    found.emplace_back(stored->version_id.empty() ? "an object was stored"
                                                  : "an object was stored, and has a version");
    MemorySink sink(content.size());
    const auto read = get(key, {}, sink);
    // Removed in any case, and before anything is said.
    const auto removed = remove(key);
    if (!read) return std::unexpected(read.error());
    if (sink.content() != content) return failed(ErrorKind::corrupt, key, "came back different");
    if (!removed) return std::unexpected(removed.error());
    if (read->sha256 == conf::sha256(content)) found.emplace_back("its SHA-256 is kept with it");
    found.emplace_back("it was removed with all its versions");
    return {};
}

Result<VersionPage> S3Driver::list_versions(std::string_view prefix, const std::string& next) {
    // The marker as one text: no version id holds a line's end, but a name might.
    VersionMarker after;
    if (const std::size_t end = next.find('\n'); end != next.npos)
        after = {.key = next.substr(end + 1), .version_id = next.substr(0, end)};
    const auto answer =
        client_.call({.key = prefix, .request = [&](std::int64_t now) {
                          return client_.requests().list_versions(prefix, after, kMostListed, now);
                      }});
    if (!answer) return std::unexpected(answer.error());
    auto listing = parse_version_listing(answer->http.body);
    if (!listing) return failed(listing.error().kind, prefix, listing.error().text);
    VersionPage page;
    for (ListedVersion& version : listing->versions) {
        auto key = client_.requests().key_of(version.name);
        if (!key) return failed(ErrorKind::io, prefix, "the store listed another prefix");
        page.versions.push_back({.key = std::move(*key),
                                 .version_id = std::move(version.version_id),
                                 .is_marker = version.is_marker,
                                 .is_latest = version.is_latest,
                                 .size = version.size,
                                 .modified_s = version.modified_s});
    }
    if (!listing->is_truncated) return page;
    page.next = listing->next_version_id + '\n' + listing->next_key;
    if (page.next == next)
        return failed(ErrorKind::io, prefix, "a listing of versions does not go on");
    return page;
}

Result<void> S3Driver::remove_version(std::string_view key, std::string_view version_id) {
    return S3Removal(client_, key).one(version_id);
}

Result<void> S3Driver::remove_older_versions(std::string_view key, std::string_view version_id) {
    return S3Removal(client_, key).older_than(version_id);
}

Result<std::size_t> S3Driver::abort_stray_uploads(std::chrono::seconds older_than) {
    const auto strays = sweep_strays(std::time(nullptr) - older_than.count(), false);
    if (!strays) return std::unexpected(strays.error());
    return static_cast<std::size_t>(strays->uploads);
}

Result<Strays> S3Driver::sweep_strays(std::int64_t before_s, bool only_count) {
    Strays strays;
    UploadMarker after;
    while (true) {
        const auto answer =
            client_.call({.key = "", .request = [&](std::int64_t now) {
                              return client_.requests().list_uploads("", after, now);
                          }});
        if (!answer) return std::unexpected(answer.error());
        const auto listing = parse_upload_listing(answer->http.body);
        if (!listing) return failed(listing.error().kind, "", listing.error().text);
        for (const ListedUpload& upload : listing->uploads) {
            const auto key = client_.requests().key_of(upload.name);
            // An unknown time is no old one.
            if (!key || upload.initiated_s == 0 || upload.initiated_s > before_s) continue;
            ++strays.uploads;
            if (only_count) continue;
            const auto done = client_.call({.key = *key, .request = [&](std::int64_t now) {
                                                return client_.requests().abort_upload(
                                                    *key, upload.upload_id, now);
                                            }});
            if (!done && done.error().kind != ErrorKind::not_found)
                return std::unexpected(done.error());
            fault_point("reconcile.aborted");
        }
        if (!listing->is_truncated || listing->uploads.empty()) return strays;
        after = {listing->next_key, listing->next_upload_id};
    }
}

}  // namespace tidepool::storage
