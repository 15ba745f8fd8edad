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
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

constexpr std::int64_t kWaitS = 1;
constexpr std::int64_t kFailedWaitS = 3'600;
constexpr std::string_view kPoisoned = "poisoned";  // as the catalog calls it
constexpr int kDeletePriority = 20;                 // before all that only tidies up

// In a lane of the pool that has the image, whose `jobs` says how much it bears.
NewJob delete_job(const Uuid& image, const std::optional<ImageRecord>& record,
                  const std::string& batch) {
    const std::string original = record ? record->original : "";
    return {
        .type = "delete",
        .payload = PayloadWriter().add("image", to_text(image)).add("original", original).text(),
        .dedup_key = delete_key(to_text(image)),
        .priority = kDeletePriority,
        .lane = record ? fmt::format("delete {}", record->pool) : "delete",
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
    return catalog.begin_deletion(image, delete_job(image, *record, batch), now_s);
}

Result<std::size_t> resume_deletions(Catalog& catalog, std::int64_t now_s) {
    std::size_t resumed = 0;
    std::set<Uuid> failed;
    JobFilter filter{.type = "delete", .state = JobRecord::State::failed};
    while (true) {
        const auto page = catalog.list_jobs(filter, Catalog::kPage);
        if (!page) return std::unexpected(page.error());
        for (const JobRecord& job : *page) {
            const auto image = parse_uuid(PayloadReader(job.payload).text("image").value_or(""));
            if (!image) continue;
            failed.insert(*image);
            // One that ends the processes that try it is for somebody to look at.
            if (job.finished_s > now_s - kFailedWaitS || job.error_class == kPoisoned) continue;
            const auto record = catalog.find_image(*image);
            if (!record) return std::unexpected(record.error());
            if (!*record) continue;  // another one has done it
            const auto queued = catalog.set_job_state(job.id, JobRecord::State::queued, now_s);
            if (!queued) return std::unexpected(queued.error());
            if (*queued) ++resumed;
        }
        if (page->size() < Catalog::kPage) break;
        filter.after = page->back().id;
    }
    Uuid after{};
    while (true) {
        const auto page = catalog.unended_deletions(after, Catalog::kPage);
        if (!page) return std::unexpected(page.error());
        for (const Uuid& image : *page) {
            if (failed.contains(image)) continue;
            const auto open = catalog.find_open_job(delete_key(to_text(image)));
            if (!open) return std::unexpected(open.error());
            if (*open) continue;
            const auto queued = delete_image(catalog, image, "", now_s);
            if (!queued && queued.error().kind != ErrorKind::not_found)
                return std::unexpected(queued.error());
            if (queued) ++resumed;
        }
        if (page->size() < Catalog::kPage) return resumed;
        after = page->back();
    }
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
    const auto cleaning = cleaning_of(job);
    if (!cleaning) return std::unexpected(cleaning.error());
    const auto leftovers = leftovers_of(catalog_, *cleaning);
    if (!leftovers) return std::unexpected(leftovers.error());
    for (const Leftover& copy : *leftovers) {
        const auto row = catalog_.find(copy.key);
        if (!row) return std::unexpected(row.error());
        if (*row && (*row)->pool == pool_id) continue;  // removed with its row
        if (auto removed = pool->limited->remove(copy.key); !removed)
            return std::unexpected(std::move(removed.error()));
    }
    return catalog_.set_job_state(job.id, JobRecord::State::cancelled, now_s);
}

// The original last, as the others are found by it.
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

// Files without a row, on any disk: variants that nobody asked for yet or that no profile names any
// more, or what came back.
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
        if (auto removed = pool->driver->remove(original); !removed) return removed;
        const auto variants = list_variants(*pool->driver, original);
        if (!variants) return std::unexpected(variants.error());
        for (const ObjectInfo& variant : *variants) {
            if (auto removed = pool->driver->remove(variant.key); !removed) return removed;
            keys.push_back(variant.key);
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
