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

Result<std::vector<ListedVersion>> S3Removal::page_behind(const VersionMarker& after) {
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
    return std::move(listing->versions);
}

Result<void> S3Removal::one(std::string_view version_id) {
    const auto answer = client_.call({.key = key_, .request = [&](std::int64_t now) {
                                          return client_.requests().remove(key_, version_id, now);
                                      }});
    if (answer || answer.error().kind == ErrorKind::not_found) return {};
    return std::unexpected(answer.error());
}

Result<std::string> S3Removal::put_marker() {
    const auto answer = client_.call({.key = key_, .request = [&](std::int64_t now) {
                                          return client_.requests().remove(key_, "", now);
                                      }});
    if (!answer && answer.error().kind == ErrorKind::not_found) return std::string();
    if (!answer) return std::unexpected(answer.error());
    std::string marker(answer->http.header("x-amz-version-id"));
    client_.note_versions(!marker.empty());
    return marker;
}

// Each round looks anew behind the same place, as what it lists is gone afterwards.
Result<void> S3Removal::remove_behind(std::string_view version_id) {
    const VersionMarker after{client_.requests().stored_name(key_), std::string(version_id)};
    for (int round = 0; round < kMostRemovalRounds; ++round) {
        const auto page = page_behind(after);
        if (!page) return std::unexpected(page.error());
        if (page->empty()) return {};
        for (auto version = page->rbegin(); version != page->rend(); ++version) {
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
        if (page->empty()) return {};
        std::string cover = page->front().version_id;
        const bool is_alone = page->size() == 1;
        const bool may_be_plain = cover == kNoVersion && is_alone;
        if ((!is_alone || may_be_plain) && !page->front().is_marker) {
            const auto marker = put_marker();
            if (!marker) return std::unexpected(marker.error());
            // A store without versioning has removed the object itself.
            if (marker->empty() && may_be_plain) return {};
            if (marker->empty()) continue;
            cover = *marker;
        }
        if (!is_alone) {
            if (auto removed = remove_behind(cover); !removed) return removed;
        }
        if (auto removed = one(cover); !removed) return removed;
        // There was one, and it is gone: to see that costs another call that is billed.
        if (is_alone && cover != kNoVersion) return {};
        // Whoever wrote meanwhile has put a version before the marker: again.
    }
    return fail(ErrorKind::busy,
                fmt::format("pool {}: {} gets new versions all the time", client_.pool(), key_));
}

Result<void> S3Removal::older_than(std::string_view version_id) {
    return remove_behind(version_id);
}

}  // namespace tidepool::storage
