#include "storage/image_remover.h"

#include "conf/fault_point.h"
#include "storage/job_keys.h"
#include "storage/job_payload.h"
#include "storage/mirrors.h"
#include "storage/mover.h"

#include <algorithm>
#include <ctime>
#include <optional>
#include <ranges>
#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

constexpr std::int64_t kWaitS = 1;
constexpr int kDeletePriority = 20;  // before all that only tidies up

NewJob delete_job(const Uuid& image, const std::string& original, const std::string& batch) {
    return {
        .type = "delete",
        .payload = PayloadWriter().add("image", to_text(image)).add("original", original).text(),
        .dedup_key = delete_key(to_text(image)),
        .priority = kDeletePriority,
        .batch = batch};
}

Error stopped() {
    return {ErrorKind::closed, "stopped before its end"};
}

JobEnd end_of(const Error& error) {
    return error.kind == ErrorKind::closed ? JobEnd::interrupted() : JobEnd::failed(error);
}

}  // namespace

Result<JobId> delete_image(Catalog& catalog, const Uuid& image, const std::string& batch,
                           std::int64_t now_s) {
    const auto record = catalog.find_image(image);
    if (!record) return std::unexpected(record.error());
    if (!*record) {
        const auto is_deleted = catalog.is_deleted(image);
        if (!is_deleted) return std::unexpected(is_deleted.error());
        if (!*is_deleted) {
            return fail(ErrorKind::not_found,
                        fmt::format("the catalog knows no image {}; scan the pool that has it "
                                    "first",
                                    to_text(image)));
        }
    }
    const std::string original = *record ? (*record)->original : "";
    return catalog.begin_deletion(image, delete_job(image, original, batch), now_s);
}

ImageRemover::ImageRemover(Catalog& catalog, DriverSet& drivers, RemoveRules rules)
    : catalog_(catalog), drivers_(drivers), rules_(std::move(rules)) {}

JobEnd ImageRemover::remove(JobRun& run) {
    const PayloadReader payload(run.job().payload);
    const auto image = parse_uuid(payload.text("image").value_or(""));
    if (!image) {
        return JobEnd::failed(
            {ErrorKind::invalid, fmt::format("job {} names no image", run.job().id)});
    }
    const std::string original = payload.text("original").value_or("");
    const auto rows = catalog_.objects_of(*image);
    if (!rows) return JobEnd::failed(rows.error());
    if (auto kept = keep_private(*image); !kept) return JobEnd::failed(kept.error());
    const auto has_ended = end_moves(*image);
    if (!has_ended) return JobEnd::failed(has_ended.error());
    const auto is_clean = *has_ended ? end_cleaning(*image) : Result<bool>(false);
    if (!is_clean) return JobEnd::failed(is_clean.error());
    if (!*is_clean) return JobEnd::put_off(kWaitS);
    fault_point("delete.begun");
    if (auto removed = remove_rows(run, *rows); !removed) return end_of(removed.error());
    if (!original.empty()) {
        if (auto removed = remove_files(original); !removed) return end_of(removed.error());
        // Of variants that had lost their rows before.
        if (const auto prefix = variants_prefix(original)) {
            auto removed = remove_mirror_copies_below(catalog_, drivers_, *prefix);
            if (!removed) return end_of(removed.error());
        }
        if (auto removed = remove_backups(run, original); !removed) return end_of(removed.error());
    }
    fault_point("delete.removed");
    if (auto ended = catalog_.end_deletion(*image); !ended) return JobEnd::failed(ended.error());
    return JobEnd::done();
}

// Who might not see what is in a private pool is not told that it was deleted there, also once
// nobody knows any more where it was.
Result<void> ImageRemover::keep_private(const Uuid& image) {
    const auto record = catalog_.find_image(image);
    if (!record) return std::unexpected(record.error());
    if (!*record || (*record)->is_private) return {};
    const bool is_hidden = std::ranges::any_of(drivers_.pools(), [&](const KnownPool& pool) {
        return pool.id == (*record)->pool && pool.settings.is_private();
    });
    if (!is_hidden) return {};
    const auto kept = catalog_.set_private(image, true);
    if (!kept) return std::unexpected(kept.error());
    return {};
}

// What one has copied is to be cleaned with its end.
Result<bool> ImageRemover::end_moves(const Uuid& image) {
    const std::int64_t now_s = std::time(nullptr);
    const auto moves = catalog_.jobs_named(move_key(to_text(image)));
    if (!moves) return std::unexpected(moves.error());
    for (const JobRecord& move : *moves) {
        if (move.is_held(now_s)) return false;
        if (move.state == JobRecord::State::cancelled) continue;
        auto cancelled = catalog_.set_job_state(move.id, JobRecord::State::cancelled, now_s);
        if (!cancelled || !*cancelled) return cancelled;
    }
    return true;
}

// What moves left behind is kept for a grace time; of a deleted image it is not.
Result<bool> ImageRemover::end_cleaning(const Uuid& image) {
    for (const KnownPool& known : drivers_.pools()) {
        const auto cleans = catalog_.jobs_named(clean_key(known.id, to_text(image)));
        if (!cleans) return std::unexpected(cleans.error());
        for (const JobRecord& clean : *cleans) {
            auto ended = end_clean(clean, known.id);
            if (!ended || !*ended) return ended;
        }
    }
    return true;
}

Result<bool> ImageRemover::end_clean(const JobRecord& job, PoolId pool_id) {
    const std::int64_t now_s = std::time(nullptr);
    if (job.is_held(now_s)) return false;
    if (job.state == JobRecord::State::cancelled) return true;
    const auto pool = drivers_.find(pool_id);
    if (!pool) return std::unexpected(pool.error());
    for (const std::string& copy : PayloadReader(job.payload).texts("keys")) {
        const auto row = catalog_.find(copy);
        if (!row) return std::unexpected(row.error());
        if (*row && (*row)->pool == pool_id) continue;  // removed with its row
        if (auto removed = pool->limited->remove(copy); !removed)
            return std::unexpected(std::move(removed.error()));
    }
    return catalog_.set_job_state(job.id, JobRecord::State::cancelled, now_s);
}

// The original last: with its row goes that of the image, by which the others are found.
Result<void> ImageRemover::remove_rows(JobRun& run, const std::vector<ObjectRecord>& rows) {
    std::vector<std::string> keys;
    for (const ObjectRecord& row : rows | std::views::reverse) {
        if (!run.goes_on()) return std::unexpected(stopped());
        const auto pool = drivers_.find(row.pool);
        if (!pool) return std::unexpected(pool.error());
        if (auto removed = remove_mirror_copies(catalog_, drivers_, row.key); !removed)
            return removed;
        fault_point("delete.mirror");
        if (auto removed = pool->limited->remove(row.key); !removed) return removed;
        fault_point("delete.bytes");
        if (rules_.unshelve) rules_.unshelve(row);
        const auto forgotten = catalog_.remove_object(row.key, row.pool);
        if (!forgotten) return std::unexpected(forgotten.error());
        fault_point("delete.row");
        keys.push_back(row.key);
    }
    if (rules_.removed) rules_.removed(keys);
    return {};
}

// Files without a row, on any disk: variants that nobody asked for yet, or what came back.
Result<void> ImageRemover::remove_files(const std::string& original) {
    std::vector<std::string> keys{original};
    if (rules_.variants_of) {
        for (std::string& key : rules_.variants_of(original))
            keys.push_back(std::move(key));
    }
    for (const KnownPool& known : drivers_.pools()) {
        if (known.settings.storage_type == conf::PoolSettings::Type::s3 || !known.problem.empty())
            continue;
        const auto pool = drivers_.find(known.id);
        if (!pool) return std::unexpected(pool.error());
        for (const std::string& key : keys) {
            if (auto removed = pool->driver->remove(key); !removed) return removed;
        }
    }
    if (rules_.removed) rules_.removed(keys);
    return {};
}

Result<void> ImageRemover::remove_backups(JobRun& run, const std::string& original) {
    if (!rules_.with_backups) return {};
    const auto backups = catalog_.backups_of(original);
    if (!backups) return std::unexpected(backups.error());
    for (const BackupRecord& backup : *backups) {
        if (!run.goes_on()) return std::unexpected(stopped());
        const auto pool = drivers_.find(backup.pool);
        if (!pool) return std::unexpected(pool.error());
        if (auto removed = pool->limited->remove(backup.key); !removed) return removed;
        fault_point("delete.backup");
        const auto forgotten = catalog_.remove_backup(backup.pool, backup.key);
        if (!forgotten) return std::unexpected(forgotten.error());
    }
    return {};
}

}  // namespace tidepool::storage
