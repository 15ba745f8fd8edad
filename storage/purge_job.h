// What the edge is to forget, as a job: what is known of it when it is asked for. Which URLs that
// are is found when the job is done, see serve/edge_purge.h.
#pragma once

#include "conf/settings.h"
#include "storage/catalog.h"
#include "storage/known_pool.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::storage {

inline constexpr std::string_view kPurgeType = "purge";

// Each of them is purged.
struct PurgeWish {
    std::optional<Uuid> image{};
    std::vector<std::string> keys{};  // of objects; what is known of them may be gone later
    // True: also what else the image has, or can have, of variants.
    bool is_whole = false;
    std::vector<std::string> urls{};      // as visitors have them
    std::vector<std::string> tags{};      // of the edge
    std::vector<std::string> prefixes{};  // "images.example/uploads/original/2026"
    bool is_everything = false;
    // Grows with each wish that is merged into it: what was done for the one before does not do.
    std::int64_t asked = 1;
};

// The lane of purges of what nobody may see any more: they wait for nothing that is only old, of
// which there may be much.
inline constexpr std::string_view kTakedownLane = "purge takedown";

// How long after a change every process of a catalog answers by it: an edge that forgets sooner is
// given the old content once more.
std::int64_t until_all_know_s(const conf::Settings& settings);

// One image has one job that waits, which is for all that is wished meanwhile; behind one that runs
// there is another. `batch` as of NewJob.
NewJob purge_job(const PurgeWish& wish, const std::string& batch);
// Of what visitors must not see any more by a change that is made now: ahead of others, and due
// once every process answers by it.
NewJob takedown_job(const PurgeWish& wish, const conf::Settings& settings, std::int64_t now_s);

// The wish of a job; invalid where it is none.
Result<PurgeWish> purge_wish(const JobRecord& job);

// What somebody wants purged by hand.
struct PurgeOrder {
    std::vector<Uuid> images{};
    std::vector<std::string> keys{};
    std::vector<std::string> urls{};
    std::vector<std::string> tags{};
    std::vector<std::string> prefixes{};
    bool is_everything = false;
};
// The jobs for that, to be queued together: one of each image and key, and some of all the rest.
// invalid where there is nothing in it, or what the edge cannot be asked for; not_found for an
// image that the catalog does not know, whose URLs nobody can tell.
Result<std::vector<NewJob>> ordered_purges(Catalog& catalog, const PurgeOrder& order,
                                           const std::string& batch);

// True where a later job waits to purge the same image: what it finds counts.
Result<bool> has_later_purge(Catalog& catalog, const JobRecord& job);

// Whether visitors are refused this object as things are now, wherever it was when it was to be
// forgotten: then the edge has to say the same.
Result<bool> is_refused_now(Catalog& catalog, std::span<const KnownPool> pools,
                            std::string_view key);

// What outdated objects are purged by, for Catalog::follow_outdated; empty where no zone is set.
// A move is a reason where visitors find an image elsewhere then: by another pool's
// public_base_url, or because one of the two sends visitors there.
//
// The jobs are due once every process answers by the change (until_all_know_s).
Catalog::Outdate purge_follower(const conf::Settings& settings, std::span<const KnownPool> pools);

}  // namespace tidepool::storage
