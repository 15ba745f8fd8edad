#include "storage/resumable_uploads.h"

#include "conf/log.h"

namespace tidepool::storage {

namespace {

constexpr std::int64_t kStrayAfterS = 24LL * 3600;

}  // namespace

Result<void> drop_resumable(Catalog& catalog, ResumableSpool& spool, const std::string& id) {
    if (auto removed = spool.remove(id); !removed) return removed;
    return catalog.drop_resumable(id);
}

Result<std::size_t> clean_expired_resumables(Catalog& catalog, ResumableSpool& spool,
                                             std::int64_t now_s) {
    const auto expired = catalog.expired_resumables(now_s);
    if (!expired) return std::unexpected(expired.error());
    std::size_t cleaned = 0;
    for (const std::string& id : *expired) {
        const auto held = spool.open(id);
        if (!held && held.error().kind != ErrorKind::not_found) {
            if (held.error().kind != ErrorKind::busy) {
                conf::log_warn("expired upload not removed id={} reason=\"{}\"", id,
                               held.error().text);
            }
            continue;
        }
        if (auto removed = spool.remove(id); !removed) {
            conf::log_warn("expired upload not removed id={} reason=\"{}\"", id,
                           removed.error().text);
            continue;
        }
        if (auto dropped = catalog.drop_resumable(id); !dropped)
            return std::unexpected(std::move(dropped.error()));
        ++cleaned;
    }
    return cleaned;
}

Result<std::size_t> clean_stray_resumables(Catalog& catalog, ResumableSpool& spool,
                                           std::int64_t now_s) {
    const auto ids = spool.untouched_since(now_s - kStrayAfterS);
    if (!ids) return std::unexpected(ids.error());
    std::size_t cleaned = 0;
    for (const std::string& id : *ids) {
        const auto known = catalog.find_resumable(id);
        if (!known) return std::unexpected(known.error());
        // Of one that has become an image the bytes are of no more use.
        if (*known && !(*known)->image) continue;
        if (auto removed = spool.remove(id); !removed)
            return std::unexpected(std::move(removed.error()));
        ++cleaned;
    }
    return cleaned;
}

}  // namespace tidepool::storage
