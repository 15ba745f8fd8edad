#include "proxy/upload/spool_room.h"

#include <algorithm>
#include <ctime>

namespace tidepool::upload {

namespace {

// This part of the spool is not for the uploads in pieces of one owner alone.
constexpr std::uint64_t kSpoolForOthers = 4;

struct SpoolSum {
    std::uint64_t bytes = 0;
    // Of the owner's uploads in pieces.
    std::uint64_t of_owner = 0;
    std::uint64_t owner_bytes = 0;
};

}  // namespace

Result<SpoolRoom::Kept> SpoolRoom::hold(storage::Catalog& catalog, std::uint64_t bytes) {
    return keep(catalog, {.owner = {}, .bytes = bytes});
}

Result<SpoolRoom::Kept> SpoolRoom::hold_resumable(storage::Catalog& catalog,
                                                  const std::string& owner, std::uint64_t bytes) {
    return keep(catalog, {.owner = owner, .bytes = bytes});
}

Result<bool> SpoolRoom::has_free(std::uint64_t bytes) const {
    const auto free_bytes = spool_.free_bytes();
    if (!free_bytes) return std::unexpected(free_bytes.error());
    return *free_bytes >= settings_.spool_min_free_bytes &&
           *free_bytes - settings_.spool_min_free_bytes >= bytes;
}

// What others hold is summed up before the catalog is asked: who lets go in between is there by
// then.
Result<SpoolRoom::Kept> SpoolRoom::keep(storage::Catalog& catalog, Claim claim) {
    const std::string owner = claim.owner;
    Claims::iterator at;
    SpoolSum held;
    {
        const std::lock_guard lock(mutex_);
        at = claims_.insert(claims_.end(), std::move(claim));
        for (const Claim& each : claims_) {
            held.bytes += each.bytes;
            if (owner.empty() || each.owner != owner) continue;
            ++held.of_owner;
            held.owner_bytes += each.bytes;
        }
    }
    Held made(*this, at);
    const auto known = catalog.resumable_use(owner, std::time(nullptr));
    if (!known) return std::unexpected(known.error());
    const bool is_limited = !owner.empty() && settings_.resumable_per_owner > 0;
    if (is_limited && known->open + held.of_owner > settings_.resumable_per_owner)
        return Kept(std::unexpect, Full::of_owner);
    const std::uint64_t most_of_owner =
        std::max(settings_.spool_size_bytes - settings_.spool_size_bytes / kSpoolForOthers,
                 settings_.max_size_bytes);
    if (!owner.empty() && known->owner_bytes + held.owner_bytes > most_of_owner)
        return Kept(std::unexpect, Full::of_owner);
    if (known->bytes + held.bytes > settings_.spool_size_bytes)
        return Kept(std::unexpect, Full::of_all);
    const auto is_free = has_free(held.bytes);
    if (!is_free) return std::unexpected(is_free.error());
    if (!*is_free) return Kept(std::unexpect, Full::of_all);
    return Kept(std::move(made));
}

void SpoolRoom::let_go(Claims::iterator claim) {
    const std::lock_guard lock(mutex_);
    claims_.erase(claim);
}

}  // namespace tidepool::upload
