#include "storage/s3_removal.h"

#include "storage/driver.h"

#include <cstddef>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

// Somebody who keeps writing the key must not keep us here for ever.
constexpr int kMostRemovalRounds = 10'000;
// What stores call the version of what they store without versions.
constexpr std::string_view kNoVersion = "null";

}  // namespace

Result<VersionListing> S3Removal::page_behind(const VersionMarker& after) {
    const auto answer = client_.call({.key = key_, .request = [&](std::int64_t now) {
                                          return client_.requests().list_versions(
                                              key_, after, Driver::kMostListed, now);
                                      }});
    if (!answer) return std::unexpected(answer.error());
    auto listing = parse_version_listing(answer->http.body);
    if (!listing) return std::unexpected(listing.error());
    // The prefix matches longer names too, but they come behind.
    const std::string name = client_.requests().stored_name(key_);
    std::erase_if(listing->versions, [&](const ListedVersion& v) { return v.name != name; });
    return std::move(*listing);
}

Result<void> S3Removal::one(std::string_view version_id) {
    const auto answer = client_.call({.key = key_, .request = [&](std::int64_t now) {
                                          return client_.requests().remove(key_, version_id, now);
                                      }});
    if (answer || answer.error().kind == ErrorKind::not_found) return {};
    return std::unexpected(answer.error());
}

// What a removal without a version left: the marker's id, or nothing where the object is gone.
Result<std::string> S3Removal::put_marker() {
    const auto answer = client_.call({.key = key_, .request = [&](std::int64_t now) {
                                          return client_.requests().remove(key_, "", now);
                                      }});
    if (!answer && answer.error().kind == ErrorKind::not_found) return std::string();
    if (!answer) return std::unexpected(answer.error());
    std::string marker(answer->http.header("x-amz-version-id"));
    if (marker.empty() && answer->http.header("x-amz-delete-marker") == "true") marker = kNoVersion;
    if (!marker.empty()) client_.note_versions(true);
    return marker;
}

// Each round looks anew behind the same place, as what it lists is gone afterwards.
Result<void> S3Removal::remove_behind(std::string_view version_id) {
    const VersionMarker after{client_.requests().stored_name(key_), std::string(version_id)};
    for (int round = 0; round < kMostRemovalRounds; ++round) {
        const auto page = page_behind(after);
        if (!page) return std::unexpected(page.error());
        const auto& versions = page->versions;
        if (versions.empty()) return {};
        for (auto version = versions.rbegin(); version != versions.rend(); ++version) {
            if (auto removed = one(version->version_id); !removed) return removed;
        }
    }
    return fail(ErrorKind::busy,
                fmt::format("pool {}: {} gets new versions all the time", client_.pool(), key_));
}

Result<void> S3Removal::all() {
    // Where no versions are kept there is no more to it than this.
    if (client_.keeps_no_versions()) {
        const auto marker = put_marker();
        if (!marker) return std::unexpected(marker.error());
        if (marker->empty()) return {};
    }
    for (int round = 0; round < kMostRemovalRounds; ++round) {
        const auto page = page_behind({});
        if (!page) return std::unexpected(page.error());
        const auto& versions = page->versions;
        if (versions.empty()) return {};
        std::string cover = versions.front().version_id;
        // As all are in a bucket without versions, and as the oldest may be in one with them.
        const bool is_plain = cover == kNoVersion && !versions.front().is_marker;
        bool is_alone = versions.size() == 1 && !page->is_truncated;
        if (!is_alone || is_plain) {
            const bool is_covered = versions.front().is_marker;
            const auto marker = is_covered ? Result<std::string>(cover) : put_marker();
            if (!marker) return std::unexpected(marker.error());
            if (marker->empty()) {
                // A store without versioning has removed the object itself.
                if (!is_alone) continue;
                client_.note_versions(false);
                return {};
            }
            cover = *marker;
            is_alone = false;
        }
        if (!is_alone) {
            if (auto removed = remove_behind(cover); !removed) return removed;
        }
        if (auto removed = one(cover); !removed) return removed;
        // There was one, and it is gone: to see that costs another call that is billed.
        if (is_alone) return {};
        // Whoever wrote meanwhile has put a version before the marker: again.
    }
    return fail(ErrorKind::busy,
                fmt::format("pool {}: {} gets new versions all the time", client_.pool(), key_));
}

Result<void> S3Removal::older_than(std::string_view version_id) {
    return remove_behind(version_id);
}

}  // namespace tidepool::storage
