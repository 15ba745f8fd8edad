// Jobs in SQLite. A writer has the database alone, so taking some is a read and an update; where
// several may take at once (PostgreSQL) it needs FOR UPDATE SKIP LOCKED.
#include "storage/catalog_sqlite.h"
#include "storage/job_keys.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

using sqlite::Query;
using sqlite::run;
using State = JobRecord::State;

#define JOB_COLUMNS                                                                     \
    "id, type, payload, state, priority, attempts, created_s, next_run_s, finished_s, " \
    "lease_owner, lease_until_s, error_class, error_text, progress, dedup_key, lane, "  \
    "batch, lost, begun"

constexpr const char* kFindJob = "SELECT " JOB_COLUMNS " FROM jobs WHERE id = ?1";
constexpr const char* kNewJob =
    "INSERT INTO jobs (type, payload, state, priority, created_s, next_run_s, dedup_key, lane, "
    "batch) VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6, ?7, ?8)";
// What a try waited for may have passed, and what is new has not waited. Before the first one it is
// due when all that it is about may be done, but does not wait for ever longer. It goes into
// the lane that the new one names, if any.
constexpr const char* kRephrase =
    "UPDATE jobs SET payload = ?2, lane = iif(?4 = '', lane, ?4), "
    "next_run_s = CASE WHEN attempts = 0 "
    "THEN max(next_run_s, min(?3, created_s + 600)) ELSE ?3 END WHERE id = ?1";
// Of a running job next_run_s is the end of its lease, so that one index finds both kinds.
#define OPEN "state IN (0, 1)"  // as in the index jobs_due
constexpr const char* kNextLane =
    "SELECT lane, priority, next_run_s FROM jobs WHERE " OPEN
    " AND (lane, priority) > (?1, ?2) ORDER BY lane, priority, next_run_s LIMIT 1";
constexpr const char* kOpenIn =
    "SELECT count(*), min(created_s), coalesce(sum(error_class <> ''), 0) FROM jobs WHERE " OPEN
    " AND lane = ?1";
constexpr const char* kNextPriority =
    "SELECT priority, next_run_s FROM jobs WHERE " OPEN
    " AND lane = ?1 AND priority > ?2 ORDER BY priority, next_run_s LIMIT 1";
constexpr const char* kDue = "SELECT " JOB_COLUMNS " FROM jobs WHERE " OPEN
                             " AND lane = ?1 AND priority = ?2 AND next_run_s <= ?3 "
                             "ORDER BY next_run_s, id LIMIT ?4";
constexpr const char* kTake =
    "UPDATE jobs SET state = 1, attempts = attempts + 1, begun = begun + 1, lease_owner = ?2, "
    "lease_until_s = ?3, next_run_s = ?3, lost = ?4 WHERE id = ?1";
constexpr const char* kPostpone = "UPDATE jobs SET next_run_s = ?2 WHERE id = ?1";
// As in the index jobs_cancelled_held.
#define CANCELLED_HELD "state = 4 AND lease_owner <> ''"
constexpr const char* kHasHeldNamesake =
    "SELECT 1 FROM jobs WHERE dedup_key = ?1 AND " CANCELLED_HELD " AND lease_until_s > ?2";
constexpr const char* kPoison =
    "UPDATE jobs SET state = 3, finished_s = ?2, lease_owner = '', lease_until_s = 0, "
    "error_class = 'poisoned', error_text = ?3 WHERE id = ?1";
constexpr const char* kOwners = "SELECT DISTINCT lease_owner FROM jobs WHERE lease_owner <> ''";
// At once the first time; then 2, 4, 8 s and so on.
constexpr const char* kDropLeases =
    "UPDATE jobs SET lease_until_s = ?2, next_run_s = ?2 + iif(lost < 3, 0, 1 << min(lost - 2, "
    "11)) "
    "WHERE state = 1 AND lease_owner = ?1 AND lease_owner <> ''";
constexpr const char* kAnyLater =
    "SELECT 1 FROM jobs WHERE " OPEN " AND lane = ?1 AND priority = ?2 AND next_run_s > ?3 LIMIT 1";
// Of what was stopped while somebody was at it, who may be gone.
#define HELD_LATER "lease_owner <> '' AND state IN (4, 5) AND lease_until_s > ?1"
constexpr const char* kAnyHeldLater = "SELECT 1 FROM jobs WHERE " HELD_LATER " LIMIT 1";
constexpr const char* kHoldForLess = "UPDATE jobs SET lease_until_s = ?1 WHERE " HELD_LATER;
constexpr const char* kBringForward =
    "UPDATE jobs SET next_run_s = ?3, lease_until_s = min(lease_until_s, ?3) WHERE " OPEN
    " AND lane = ?1 AND priority = ?2 AND next_run_s > ?3";
// What was paused or cancelled while somebody was at it, and perhaps queued again since.
#define LET_GO                                                           \
    "UPDATE jobs SET lease_owner = '', lease_until_s = 0, next_run_s = " \
    "iif(state = 0, ?2, next_run_s) WHERE state <> 1 AND lease_owner = ?1 AND lease_owner <> ''"
constexpr const char* kLetGoOfAll = LET_GO;
constexpr const char* kLetGo = LET_GO " AND id = ?3";
constexpr const char* kPutOff =
    "UPDATE jobs SET state = 0, attempts = attempts - ?4, begun = begun - ?4, next_run_s = ?3, "
    "lease_owner = '', lease_until_s = 0, lost = 0 "
    "WHERE id = ?1 AND state = 1 AND lease_owner = ?2";
constexpr const char* kRenew =
    "UPDATE jobs SET lease_until_s = ?3, next_run_s = ?3, progress = ?4 "
    "WHERE id = ?1 AND state = 1 AND lease_owner = ?2";
constexpr const char* kFinish =
    "UPDATE jobs SET state = 2, finished_s = ?3, lease_owner = '', lease_until_s = 0, "
    "error_class = '', error_text = '' WHERE id = ?1 AND state = 1 AND lease_owner = ?2";
constexpr const char* kFail =
    "UPDATE jobs SET state = ?3, next_run_s = ?4, finished_s = ?5, error_class = ?6, "
    "error_text = ?7, begun = begun - ?8, lease_owner = '', lease_until_s = 0, lost = 0 "
    "WHERE id = ?1 AND state = 1 AND lease_owner = ?2";
// The lease stays with whoever is at it, until he lets go of it.
constexpr const char* kPause = "UPDATE jobs SET state = 5 WHERE id = ?1 AND state IN (0, 1, 5)";
// What was told to be deleted is not there again for a job that is called off.
constexpr const char* kCancel =
    "UPDATE jobs SET state = 4, finished_s = ?2 WHERE id = ?1 AND type <> 'delete' "
    "AND (state IN (0, 1, 5) OR (state = 3 AND type = 'purge'))";
// One that waits has perhaps done a part of it, which its next attempt looks for.
constexpr const char* kRestart =
    "UPDATE OR IGNORE jobs SET state = 0, next_run_s = max(?2, lease_until_s), finished_s = 0, "
    "lost = 0, attempts = CASE state WHEN 0 THEN attempts ELSE 0 END "
    "WHERE id = ?1 AND (state IN (3, 4, 5) OR (state = 0 AND attempts > 0))";
// Lists are made of the ids of each kind of job that there is, which an index has in their order.
constexpr const char* kIds = "SELECT id FROM jobs WHERE id > ?1 ORDER BY id LIMIT ?2";
constexpr const char* kIdsOfKind =
    "SELECT id FROM jobs WHERE type = ?3 AND state = ?4 AND id > ?1 ORDER BY id LIMIT ?2";
constexpr const char* kIdsOfBatch =
    "SELECT id FROM jobs WHERE batch = ?5 AND batch <> '' AND type = ?3 AND state = ?4 AND id > ?1 "
    "ORDER BY id LIMIT ?2";
constexpr const char* kCount =
    "SELECT type, state, sum(count) FROM job_counts GROUP BY type, state HAVING sum(count) > 0 "
    "ORDER BY type, state";
constexpr const char* kCountBatch =
    "SELECT type, state, count FROM job_counts WHERE batch = ?1 AND count > 0 "
    "ORDER BY type, state";
constexpr const char* kFindOpen =
    "SELECT " JOB_COLUMNS
    " FROM jobs WHERE dedup_key = ?1 AND dedup_key <> '' AND state IN (0, 1, 5)";
// The keys that end there, or go on with a blank: behind that comes '!'.
#define NAMED "dedup_key >= ?1 AND dedup_key < ?1 || '!'"
constexpr const char* kNamed =
    "SELECT " JOB_COLUMNS " FROM jobs WHERE " NAMED
    " AND dedup_key <> '' AND state IN (0, 1, 5) "
    "UNION ALL SELECT " JOB_COLUMNS " FROM jobs WHERE " NAMED " AND " CANCELLED_HELD " ORDER BY id";
constexpr const char* kForgetCounts = "DELETE FROM job_counts WHERE count = 0";
// Failed deletions are taken up again as long as there is anything of the image, but for one that
// ends the processes that try; see resume_deletions().
constexpr const char* kForget =
    "DELETE FROM jobs WHERE finished_s > 0 AND finished_s < ?1 AND state IN (2, 3, 4) "
    "AND NOT (state = 3 AND (type = 'purge' OR (type = 'delete' AND error_class = 'poisoned')))";

constexpr std::size_t kKeptErrorBytes = 4096;  // of an error's text that is kept
constexpr std::size_t kMaxJobPage = 10'000;
constexpr std::int64_t kNamesakeWaitS = 1;

JobRecord job_of(const Query& query) {
    JobRecord job;
    job.id = query.number(0);
    job.type = query.text(1);
    job.payload = query.text(2);
    job.state = static_cast<State>(query.number(3));
    job.priority = static_cast<int>(query.number(4));
    job.attempts = query.number(5);
    job.created_s = query.number(6);
    job.next_run_s = query.number(7);
    job.finished_s = query.number(8);
    job.lease_owner = query.text(9);
    job.lease_until_s = query.number(10);
    job.error_class = query.text(11);
    job.error_text = query.text(12);
    job.progress = query.text(13);
    job.dedup_key = query.text(14);
    job.lane = query.text(15);
    job.batch = query.text(16);
    job.lost = query.number(17);
    job.begun = query.number(18);
    return job;
}

// What is not his to end any more.
void let_go(sqlite::Connection& db, JobId job, std::string_view owner, std::int64_t now_s) {
    run(db, kLetGo, owner, now_s, job);
}

bool has_held_namesake(sqlite::Connection& db, const JobRecord& job, std::int64_t now_s) {
    if (job.dedup_key.empty()) return false;
    Query query(db, kHasHeldNamesake, job.dedup_key, now_s);
    return query.next();
}

// The key itself, or a number after it.
bool is_numbered(std::string_view key, std::string_view base) {
    if (key == base) return true;
    const std::string_view number = key.substr(base.size() + 1);
    return !number.empty() && number.find_first_not_of("0123456789") == number.npos;
}

std::optional<JobRecord> find_open(sqlite::Connection& db, std::string_view dedup_key) {
    Query query(db, kFindOpen, dedup_key);
    if (!query.next()) return std::nullopt;
    return job_of(query);
}

// By type, then state; of one batch, or of all ("").
std::vector<JobCount> counts_of(sqlite::Connection& db, std::string_view batch) {
    std::vector<JobCount> counts;
    const auto collect = [&counts](Query& query) {
        while (query.next()) {
            counts.push_back({std::string(query.text(0)), static_cast<State>(query.number(1)),
                              static_cast<std::uint64_t>(query.number(2))});
        }
    };
    if (batch.empty()) {
        Query query(db, kCount);
        collect(query);
    } else {
        Query query(db, kCountBatch, batch);
        collect(query);
    }
    return counts;
}

// The first of them, in their order.
std::vector<JobId> ids_of(sqlite::Connection& db, const JobFilter& filter, std::size_t limit) {
    std::vector<JobId> ids;
    const auto collect = [&ids](Query& query) {
        while (query.next())
            ids.push_back(query.number(0));
    };
    if (filter.type.empty() && filter.batch.empty() && !filter.state) {
        Query query(db, kIds, filter.after, limit);
        collect(query);
        return ids;
    }
    for (const JobCount& kind : counts_of(db, filter.batch)) {
        if (!filter.type.empty() && kind.type != filter.type) continue;
        if (filter.state && kind.state != *filter.state) continue;
        if (filter.batch.empty()) {
            Query query(db, kIdsOfKind, filter.after, limit, kind.type, kind.state);
            collect(query);
        } else {
            Query query(db, kIdsOfBatch, filter.after, limit, kind.type, kind.state, filter.batch);
            collect(query);
        }
    }
    std::ranges::sort(ids);
    if (ids.size() > limit) ids.resize(limit);
    return ids;
}

// Of what is copied by a job that has begun is looked for when it is to go (JobRecord::begun).
bool makes_copies(std::string_view lane) {
    return lane.starts_with("move ") || lane.starts_with("backup ");
}

// Those of the lane that are due, by priority.
std::vector<JobRecord> due_jobs(sqlite::Connection& db, const Catalog::LaneWant& want,
                                std::int64_t now_s) {
    std::vector<JobRecord> jobs;
    std::int64_t priority = std::numeric_limits<std::int64_t>::min();
    while (jobs.size() < want.jobs) {
        {
            Query query(db, kNextPriority, want.lane, priority);
            if (!query.next()) break;
            priority = query.number(0);
            if (query.number(1) > now_s) continue;
        }
        Query query(db, kDue, want.lane, priority, now_s, want.jobs - jobs.size());
        while (query.next())
            jobs.push_back(job_of(query));
    }
    return jobs;
}

}  // namespace

JobId SqliteCatalog::queue_one(Writing& writing, const NewJob& job, std::int64_t now_s) {
    std::string key = job.dedup_key;
    for (std::size_t number = 1;; key = numbered_key(job.dedup_key, ++number)) {
        const auto open = find_open(writing.db, key);
        if (!open) break;
        if (job.is_apart) continue;
        if (job.merged == nullptr) return open->id;
        if (open->state == State::paused || !open->lease_owner.empty()) continue;
        run(writing.db, kRephrase, open->id, job.merged(open->payload, job.payload),
            std::max(now_s, job.not_before_s), job.lane);
        return open->id;
    }
    run(writing.db, kNewJob, job.type, job.payload, job.priority, now_s,
        std::max(now_s, job.not_before_s), key, job.lane.empty() ? job.type : job.lane, job.batch);
    return writing.db.last_id();
}

Result<std::vector<JobId>> SqliteCatalog::queue_jobs(std::span<const NewJob> jobs,
                                                     std::int64_t now_s) {
    return write([&](Writing& writing) {
        std::vector<JobId> ids;
        ids.reserve(jobs.size());
        for (const NewJob& job : jobs)
            ids.push_back(queue_one(writing, job, now_s));
        return ids;
    });
}

Result<std::vector<OpenLane>> SqliteCatalog::open_lanes() {
    return read([](sqlite::Connection& db) {
        std::vector<OpenLane> lanes;
        OpenLane at{.lane = "", .priority = std::numeric_limits<int>::min()};
        while (true) {
            Query query(db, kNextLane, at.lane, at.priority);
            if (!query.next()) return lanes;
            at = {std::string(query.text(0)), static_cast<int>(query.number(1)), query.number(2)};
            lanes.push_back(at);
        }
    });
}

Result<OpenJobs> SqliteCatalog::open_in(std::string_view lane) {
    return read([&](sqlite::Connection& db) -> OpenJobs {
        Query query(db, kOpenIn, lane);
        if (!query.next() || query.number(0) == 0) return {};
        return {.oldest_s = query.number(1),
                .failing = static_cast<std::uint64_t>(query.number(2))};
    });
}

// Not durable at once where what is forgotten of it with the power is only that somebody had begun.
Result<std::vector<JobRecord>> SqliteCatalog::take_jobs(std::span<const LaneWant> wants,
                                                        std::string_view owner, std::int64_t now_s,
                                                        std::int64_t lease_s) {
    const auto take = [&](Writing& writing, JobRecord& job) {
        if (has_held_namesake(writing.db, job, now_s)) {
            run(writing.db, kPostpone, job.id, now_s + kNamesakeWaitS);
            return false;
        }
        if (job.state == State::running) ++job.lost;
        if (job.lost >= kMostLost) {
            run(writing.db, kPoison, job.id, now_s,
                fmt::format("{} attempts in a row ended with the process that made them",
                            job.lost));
            clean_after_ended(writing, job.id, now_s);
            return false;
        }
        job.state = State::running;
        ++job.attempts;
        ++job.begun;
        job.lease_owner = owner;
        job.lease_until_s = now_s + lease_s;
        job.next_run_s = job.lease_until_s;
        run(writing.db, kTake, job.id, owner, job.lease_until_s, job.lost);
        return true;
    };
    const auto work = [&](Writing& writing) {
        std::vector<JobRecord> taken;
        for (LaneWant want : wants) {
            while (want.jobs > 0) {
                auto due = due_jobs(writing.db, want, now_s);
                if (due.empty()) break;
                for (JobRecord& job : due) {
                    if (!take(writing, job)) continue;
                    --want.jobs;
                    taken.push_back(std::move(job));
                }
            }
        }
        return taken;
    };
    const bool must_last =
        std::ranges::any_of(wants, [](const LaneWant& want) { return makes_copies(want.lane); });
    return write(work, must_last ? sqlite::Durability::on_return : sqlite::Durability::soon);
}

Result<std::vector<std::string>> SqliteCatalog::lease_owners() {
    return read([](sqlite::Connection& db) {
        std::vector<std::string> owners;
        Query query(db, kOwners);
        while (query.next())
            owners.emplace_back(query.text(0));
        return owners;
    });
}

Result<std::size_t> SqliteCatalog::drop_leases(std::string_view owner, std::int64_t now_s) {
    return write([&](Writing& writing) {
        return run(writing.db, kDropLeases, owner, now_s) +
               run(writing.db, kLetGoOfAll, owner, now_s);
    });
}

Result<bool> SqliteCatalog::renew_job(JobId job, std::string_view owner, std::int64_t lease_until_s,
                                      std::string_view progress) {
    return write(
        [&](Writing& writing) {
            return run(writing.db, kRenew, job, owner, lease_until_s, progress) == 1;
        },
        sqlite::Durability::soon);
}

Result<std::size_t> SqliteCatalog::bring_jobs_forward(std::int64_t latest_s) {
    const auto lanes = open_lanes();
    if (!lanes) return std::unexpected(lanes.error());
    std::size_t count = 0;
    for (const OpenLane& lane : *lanes) {
        // Nearly always there is none, and to look is cheaper than to write.
        const auto is_any = read([&](sqlite::Connection& db) {
            Query query(db, kAnyLater, lane.lane, lane.priority, latest_s);
            return query.next();
        });
        if (!is_any) return std::unexpected(is_any.error());
        if (!*is_any) continue;
        const auto changed = write([&](Writing& writing) {
            return run(writing.db, kBringForward, lane.lane, lane.priority, latest_s);
        });
        if (!changed) return changed;
        count += *changed;
    }
    const auto is_held = read([&](sqlite::Connection& db) {
        Query query(db, kAnyHeldLater, latest_s);
        return query.next();
    });
    if (!is_held) return std::unexpected(is_held.error());
    if (!*is_held) return count;
    const auto changed =
        write([&](Writing& writing) { return run(writing.db, kHoldForLess, latest_s); });
    if (!changed) return changed;
    return count + *changed;
}

bool SqliteCatalog::finish_one(Writing& writing, JobId job, std::string_view owner,
                               std::int64_t now_s) {
    if (run(writing.db, kFinish, job, owner, now_s) == 1) return true;
    let_go(writing.db, job, owner, now_s);
    return false;
}

// What is forgotten of it with the power is done once more, and finds that nothing is left to do.
Result<bool> SqliteCatalog::finish_job(JobId job, std::string_view owner, std::int64_t now_s) {
    return write([&](Writing& writing) { return finish_one(writing, job, owner, now_s); },
                 sqlite::Durability::soon);
}

bool SqliteCatalog::end_one(Writing& writing, const JobEnding& job, std::int64_t now_s) {
    if (job.relocation != nullptr) {
        relocate_all(writing, *job.relocation);
        return true;
    }
    return finish_one(writing, job.job.job, job.job.owner, now_s);
}

// All in one transaction, and each in one of its own where one of them is refused: that is rare,
// and to be able to take back one alone costs a copy of each page for all.
std::vector<Result<bool>> SqliteCatalog::end_jobs(std::span<const JobEnding> jobs,
                                                  std::int64_t now_s) {
    const auto end = [&](std::span<const JobEnding> some) {
        const bool must_last = std::ranges::any_of(
            some, [](const JobEnding& job) { return job.relocation != nullptr; });
        return write(
            [&](Writing& writing) {
                std::vector<Result<bool>> ends;
                for (const JobEnding& job : some)
                    ends.emplace_back(end_one(writing, job, now_s));
                return ends;
            },
            must_last ? sqlite::Durability::on_return : sqlite::Durability::soon);
    };
    auto together = end(jobs);
    if (together) return std::move(*together);
    std::vector<Result<bool>> ends;
    if (together.error().kind != ErrorKind::conflict) {
        ends.resize(jobs.size(), std::unexpected(together.error()));
        return ends;
    }
    for (const JobEnding& job : jobs) {
        auto one = end({&job, 1});
        if (one) {
            ends.push_back(std::move(one->front()));
        } else {
            ends.emplace_back(std::unexpected(std::move(one.error())));
        }
    }
    return ends;
}

Result<bool> SqliteCatalog::put_off_job(JobId job, std::string_view owner, std::int64_t until_s,
                                        bool was_begun) {
    return write(
        [&](Writing& writing) {
            if (run(writing.db, kPutOff, job, owner, until_s, was_begun ? 0 : 1) == 1) return true;
            let_go(writing.db, job, owner, until_s);
            return false;
        },
        sqlite::Durability::soon);
}

Result<bool> SqliteCatalog::fail_job(JobId job, std::string_view owner, const JobFailure& failure,
                                     std::int64_t now_s) {
    return write([&](Writing& writing) {
        const State state = failure.retry_at_s ? State::queued : State::failed;
        const std::int64_t finished_s = failure.retry_at_s ? 0 : now_s;
        const auto text = std::string_view(failure.text).substr(0, kKeptErrorBytes);
        const bool was_ours =
            run(writing.db, kFail, job, owner, state, failure.retry_at_s.value_or(now_s),
                finished_s, failure.error_class, text, failure.was_begun ? 0 : 1) == 1;
        if (!was_ours) {
            let_go(writing.db, job, owner, now_s);
        } else if (state == State::failed) {
            clean_after_ended(writing, job, now_s);
        }
        return was_ours;
    });
}

Result<bool> SqliteCatalog::set_job_state(JobId job, State state, std::int64_t now_s) {
    return write([&](Writing& writing) {
        switch (state) {
            case State::cancelled:
                if (run(writing.db, kCancel, job, now_s) == 0) return false;
                clean_after_ended(writing, job, now_s);
                return true;
            case State::paused:
                return run(writing.db, kPause, job) == 1;
            case State::queued:
                return run(writing.db, kRestart, job, now_s) == 1;
            case State::running:
            case State::done:
            case State::failed:
                break;  // only whoever has its lease says so
        }
        return false;
    });
}

Result<std::optional<JobRecord>> SqliteCatalog::find_job(JobId job) {
    return read([&](sqlite::Connection& db) -> std::optional<JobRecord> {
        Query query(db, kFindJob, job);
        if (!query.next()) return std::nullopt;
        return job_of(query);
    });
}

Result<std::vector<JobRecord>> SqliteCatalog::list_jobs(const JobFilter& filter,
                                                        std::size_t limit) {
    return read([&](sqlite::Connection& db) {
        const sqlite::Snapshot snapshot(db);
        std::vector<JobRecord> jobs;
        for (const JobId id : ids_of(db, filter, std::min(limit, kMaxJobPage))) {
            Query query(db, kFindJob, id);
            if (query.next()) jobs.push_back(job_of(query));
        }
        return jobs;
    });
}

Result<std::vector<JobCount>> SqliteCatalog::count_jobs(std::string_view batch) {
    return read([&](sqlite::Connection& db) { return counts_of(db, batch); });
}

Result<std::optional<JobRecord>> SqliteCatalog::find_open_job(std::string_view dedup_key) {
    return read([&](sqlite::Connection& db) { return find_open(db, dedup_key); });
}

std::vector<JobRecord> SqliteCatalog::named_in(sqlite::Connection& db, std::string_view dedup_key) {
    std::vector<JobRecord> jobs;
    Query query(db, kNamed, dedup_key);
    while (query.next()) {
        if (is_numbered(query.text(14), dedup_key)) jobs.push_back(job_of(query));
    }
    return jobs;
}

Result<std::vector<JobRecord>> SqliteCatalog::jobs_named(std::string_view dedup_key) {
    return read([&](sqlite::Connection& db) { return named_in(db, dedup_key); });
}

// With the end of a move comes the job that removes what it may have copied, so that no crash is
// between them.
void SqliteCatalog::clean_after_ended(Writing& writing, JobId job, std::int64_t now_s) {
    std::optional<JobRecord> ended;
    {
        Query query(writing.db, kFindJob, job);
        if (query.next()) ended = job_of(query);
    }
    if (ended && ended->type == "move" && ended->begun > 0) clean_after(writing, *ended, now_s);
}

Result<std::size_t> SqliteCatalog::forget_jobs(std::int64_t finished_before_s) {
    return write([&](Writing& writing) {
        const std::size_t forgotten = run(writing.db, kForget, finished_before_s);
        if (forgotten > 0) run(writing.db, kForgetCounts);
        return forgotten;
    });
}

}  // namespace tidepool::storage
