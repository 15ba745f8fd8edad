#include "storage/abandoned_uploads.h"

#include "conf/log.h"
#include "storage/job_owner.h"

namespace tidepool::storage {

namespace {

// Where no process is named it was given up; of a process of another machine only its time tells.
bool is_abandoned(const UploadRecord& upload, std::int64_t now_s) {
    return upload.expires_s <= now_s || (!upload.process.empty() && has_ended(upload.process));
}

}  // namespace

Result<std::size_t> clean_abandoned_uploads(Catalog& catalog, DriverSet& drivers,
                                            std::int64_t now_s) {
    if (auto forgotten = catalog.forget_sessions(now_s); !forgotten)
        return std::unexpected(std::move(forgotten.error()));
    const auto uploads = catalog.open_uploads();
    if (!uploads) return std::unexpected(uploads.error());
    std::size_t cleaned = 0;
    for (const UploadRecord& upload : *uploads) {
        if (!is_abandoned(upload, now_s)) continue;
        const auto pool = drivers.find(upload.pool);
        const bool may_come_late = upload.expires_s > now_s && pool && pool->is_bucket();
        // From then on it cannot end well any more, so its bytes are nobody's.
        const auto claimed =
            catalog.claim_abandoned(upload, may_come_late ? now_s + kLateAnswerS : now_s);
        if (!claimed) return std::unexpected(claimed.error());
        if (!*claimed) continue;
        const auto removed =
            pool ? pool->driver->remove(upload.key) : Result<void>(std::unexpected(pool.error()));
        if (!removed) {
            conf::log_warn("abandoned upload not removed key={} reason=\"{}\"", upload.key,
                           removed.error().text);
            continue;
        }
        if (may_come_late) continue;  // all of it may have been sent: looked for once more by then
        if (auto dropped = catalog.drop_upload(upload.id); !dropped)
            return std::unexpected(std::move(dropped.error()));
        ++cleaned;
    }
    return cleaned;
}

}  // namespace tidepool::storage
