// Jobs in SQLite. A writer has the database alone, so taking one is a read and an update; where
// several may take at once (PostgreSQL) it needs FOR UPDATE SKIP LOCKED.
#include "storage/catalog_sqlite.h"

#include <algorithm>

namespace tidepool::storage {

namespace {

using sqlite::Query;
using sqlite::run;
using State = JobRecord::State;

#define JOB_COLUMNS                                                                     \
    "id, type, payload, state, priority, attempts, created_s, next_run_s, finished_s, " \
    "lease_owner, lease_until_s, error_class, error_text, progress, dedup_key"

constexpr const char* kFindJob = "SELECT " JOB_COLUMNS " FROM jobs WHERE id = ?1";
constexpr const char* kOpenJob =
    "SELECT id FROM jobs WHERE dedup_key = ?1 AND dedup_key <> '' AND state IN (0, 1, 5)";
constexpr const char* kNewJob =
    "INSERT INTO jobs (type, payload, state, priority, created_s, next_run_s, dedup_key) "
    "VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6)";
// Of a running job next_run_s is the end of its lease, so that one index finds both kinds.
constexpr const char* kDue = "SELECT " JOB_COLUMNS
                             " FROM jobs WHERE state IN (0, 1) AND next_run_s <= ?1 "
                             "ORDER BY priority, next_run_s, id";
constexpr const char* kTake =
    "UPDATE jobs SET state = 1, attempts = attempts + 1, lease_owner = ?2, lease_until_s = ?3, "
    "next_run_s = ?3 WHERE id = ?1";
constexpr const char* kRenew =
    "UPDATE jobs SET lease_until_s = ?3, next_run_s = ?3, progress = ?4 "
    "WHERE id = ?1 AND state = 1 AND lease_owner = ?2";
constexpr const char* kFinish =
    "UPDATE jobs SET state = 2, finished_s = ?3, lease_owner = '', lease_until_s = 0, "
    "error_class = '', error_text = '' WHERE id = ?1 AND state = 1 AND lease_owner = ?2";
constexpr const char* kFail =
    "UPDATE jobs SET state = ?3, next_run_s = ?4, finished_s = ?5, error_class = ?6, "
    "error_text = ?7, lease_owner = '', lease_until_s = 0 "
    "WHERE id = ?1 AND state = 1 AND lease_owner = ?2";
constexpr const char* kStop =
    "UPDATE jobs SET state = ?2, finished_s = ?3, lease_owner = '', lease_until_s = 0 "
    "WHERE id = ?1 AND state IN (0, 1, 5)";
constexpr const char* kRestart =
    "UPDATE OR IGNORE jobs SET state = 0, next_run_s = ?2, finished_s = 0, attempts = 0 "
    "WHERE id = ?1 AND state IN (3, 4, 5)";
constexpr const char* kListJobs = "SELECT " JOB_COLUMNS
                                  " FROM jobs WHERE id > ?1 AND (?2 = '' OR type = ?2) "
                                  "AND (?3 IS NULL OR state = ?3) ORDER BY id LIMIT ?4";
constexpr const char* kForget =
    "DELETE FROM jobs WHERE finished_s > 0 AND finished_s < ?1 AND state IN (2, 3, 4)";

constexpr std::size_t kMaxErrorBytes = 4096;  // of an error's text that is kept
constexpr std::size_t kMaxJobPage = 10'000;

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
    return job;
}

std::optional<JobRecord> due_job(sqlite::Connection& db, std::span<const std::string> types,
                                 std::int64_t now_s) {
    Query query(db, kDue, now_s);
    while (query.next()) {
        if (types.empty() || std::ranges::find(types, query.text(1)) != types.end()) {
            return job_of(query);
        }
    }
    return std::nullopt;
}

}  // namespace

Result<JobId> SqliteCatalog::queue_job(const NewJob& job, std::int64_t now_s) {
    return write([&](Writing& writing) -> JobId {
        {
            Query query(writing.db, kOpenJob, job.dedup_key);
            if (query.next()) return query.number(0);
        }
        run(writing.db, kNewJob, job.type, job.payload, job.priority, now_s,
            std::max(now_s, job.not_before_s), job.dedup_key);
        return writing.db.last_id();
    });
}

Result<std::optional<JobRecord>> SqliteCatalog::take_job(std::span<const std::string> types,
                                                         std::string_view owner, std::int64_t now_s,
                                                         std::int64_t lease_s) {
    // A look first: an idle worker asks often, and should not make others wait for their turn.
    const auto due = read([&](sqlite::Connection& db) { return due_job(db, types, now_s); });
    if (!due) return std::unexpected(due.error());
    if (!*due) return std::optional<JobRecord>{};
    return write([&](Writing& writing) {
        auto job = due_job(writing.db, types, now_s);
        if (!job) return job;
        job->state = State::running;
        ++job->attempts;
        job->lease_owner = owner;
        job->lease_until_s = now_s + lease_s;
        job->next_run_s = job->lease_until_s;
        run(writing.db, kTake, job->id, owner, job->lease_until_s);
        return job;
    });
}

Result<bool> SqliteCatalog::renew_job(JobId job, std::string_view owner, std::int64_t lease_until_s,
                                      std::string_view progress) {
    return write([&](Writing& writing) {
        return run(writing.db, kRenew, job, owner, lease_until_s, progress) == 1;
    });
}

Result<bool> SqliteCatalog::finish_job(JobId job, std::string_view owner, std::int64_t now_s) {
    return write(
        [&](Writing& writing) { return run(writing.db, kFinish, job, owner, now_s) == 1; });
}

Result<bool> SqliteCatalog::fail_job(JobId job, std::string_view owner, const JobFailure& failure,
                                     std::int64_t now_s) {
    return write([&](Writing& writing) {
        const State state = failure.retry_at_s ? State::queued : State::failed;
        const std::int64_t finished_s = failure.retry_at_s ? 0 : now_s;
        return run(writing.db, kFail, job, owner, state, failure.retry_at_s.value_or(now_s),
                   finished_s, failure.error_class,
                   std::string_view(failure.text).substr(0, kMaxErrorBytes)) == 1;
    });
}

Result<bool> SqliteCatalog::set_job_state(JobId job, State state, std::int64_t now_s) {
    return write([&](Writing& writing) {
        switch (state) {
            case State::cancelled:
                return run(writing.db, kStop, job, state, now_s) == 1;
            case State::paused:
                return run(writing.db, kStop, job, state, 0) == 1;
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
        std::vector<JobRecord> jobs;
        Query query(db, kListJobs, filter.after, filter.type, filter.state,
                    std::min(limit, kMaxJobPage));
        while (query.next())
            jobs.push_back(job_of(query));
        return jobs;
    });
}

Result<std::size_t> SqliteCatalog::forget_jobs(std::int64_t finished_before_s) {
    return write([&](Writing& writing) { return run(writing.db, kForget, finished_before_s); });
}

}  // namespace tidepool::storage
