#include "storage/reconcile.h"

#include "conf/fault_point.h"
#include "conf/log.h"
#include "storage/reconcile_judge.h"
#include "storage/row_walk.h"

#include <algorithm>
#include <utility>

namespace tidepool::storage {

namespace {

constexpr std::size_t kBetweenReports = 50;  // repairs

JudgeRules judge_rules(const ReconcileOptions& options) {
    return {.now_s = options.now_s,
            .grace_s = options.grace_s,
            .deep = options.deep,
            .quarantine_prefix = options.quarantine_prefix};
}

RepairRules repair_rules(const ReconcileOptions& options) {
    return {.quarantine_prefix = options.quarantine_prefix,
            .now_s = options.now_s,
            .cache_control = options.cache_control,
            .changed = options.changed};
}

// About the content of one object, and not about the store.
bool is_of_one_object(const Error& error) {
    return error.kind == ErrorKind::corrupt || error.kind == ErrorKind::io ||
           error.kind == ErrorKind::busy || error.kind == ErrorKind::denied;
}

// One run; see reconcile_pool.
class Reconcile {
  public:
    Reconcile(Catalog& catalog, DriverSet& drivers, const DriverSet::Pool& pool,
              const ReconcileOptions& options)
        : catalog_(catalog),
          options_(options),
          pool_(pool),
          rows_(catalog, pool.known.id),
          copies_(catalog, pool.known.id, RowWalk::Of::copies),
          judge_(catalog, pool, judge_rules(options)),
          repairer_(catalog, drivers, pool, repair_rules(options)) {}

    Result<ReconcileResult> run();

  private:
    Result<bool> compare_all();
    Result<void> compare_up_to(const std::string* key);
    Result<const ObjectRecord*> peek();
    void pop();
    Result<void> compare_object(const ObjectInfo& info);
    Result<bool> look_at_versions();
    Result<void> take_versions(const KeyVersions& versions);
    Result<void> count_strays();
    Result<void> take(Result<Verdict> verdict);
    void learn(const Verdict& verdict);
    void note(const Finding& finding);
    bool would_change_too_much() const;
    bool goes_on();

    Result<bool> repair_all();
    void repair_one(const Finding& kept);
    Result<RepairEnd> look_and_repair(const Finding& kept);
    Result<Verdict> versions_of(const std::string& key);
    Result<void> sweep();

    Catalog& catalog_;
    const ReconcileOptions& options_;
    const DriverSet::Pool pool_;
    RowWalk rows_;
    RowWalk copies_;  // no key is in both
    ReconcileJudge judge_;
    Repairer repairer_;
    ReconcileResult result_;
    std::vector<Finding> kept_;
    bool is_ended_ = false;
};

bool Reconcile::goes_on() {
    is_ended_ = is_ended_ || (options_.report && !options_.report(result_.counts));
    return !is_ended_;
}

Result<ReconcileResult> Reconcile::run() {
    auto compared = compare_all();
    if (compared && *compared) compared = look_at_versions();
    if (!compared) return std::unexpected(std::move(compared.error()));
    if (!*compared) return result_;
    if (auto counted = count_strays(); !counted) return std::unexpected(std::move(counted.error()));
    if (!options_.repair) {
        result_.is_complete = true;
        return result_;
    }
    result_.is_too_much = would_change_too_much();
    if (!result_.is_too_much) {
        const auto repaired = repair_all();
        if (!repaired) return std::unexpected(repaired.error());
        result_.is_complete = *repaired;
    } else {
        result_.is_complete = true;
    }
    return result_;
}

// ---- the first pass

// False where it was to end.
Result<bool> Reconcile::compare_all() {
    std::string next;
    while (true) {
        const auto page = pool_.limited->list("", next, Driver::kMostListed);
        if (!page) return std::unexpected(page.error());
        for (const ObjectInfo& info : page->objects) {
            if (auto compared = compare_object(info); !compared)
                return std::unexpected(std::move(compared.error()));
        }
        if (!goes_on()) return false;
        if (page->next.empty()) break;
        next = page->next;
    }
    if (auto ended = compare_up_to(nullptr); !ended)
        return std::unexpected(std::move(ended.error()));
    return goes_on();
}

// What comes first of rows and copies.
Result<const ObjectRecord*> Reconcile::peek() {
    const auto row = rows_.peek();
    const auto copy = row ? copies_.peek() : row;
    if (!copy || *copy == nullptr) return copy ? row : copy;
    return *row == nullptr || (*copy)->key < (*row)->key ? copy : row;
}

void Reconcile::pop() {
    const auto next = peek();
    if (next) (*next)->role == Role::backup ? copies_.pop() : rows_.pop();
}

// The rows before this key, or all that are left, of which nothing was listed.
Result<void> Reconcile::compare_up_to(const std::string* key) {
    while (true) {
        const auto row = peek();
        if (!row) return std::unexpected(row.error());
        if (*row == nullptr || (key != nullptr && (*row)->key >= *key)) return {};
        ++result_.counts.compared;
        if (result_.counts.compared % Driver::kMostListed == 0) goes_on();
        if (auto taken = take(judge_.listed(*row, nullptr)); !taken) return taken;
        pop();
    }
}

Result<void> Reconcile::compare_object(const ObjectInfo& info) {
    if (auto before = compare_up_to(&info.key); !before) return before;
    const auto row = peek();
    if (!row) return std::unexpected(row.error());
    ++result_.counts.compared;
    result_.counts.bytes += info.size;
    const bool is_match = *row != nullptr && (*row)->key == info.key;
    auto taken = take(judge_.listed(is_match ? *row : nullptr, &info));
    if (taken && is_match) pop();
    return taken;
}

// One key's versions come one after the other, and may be spread over pages.
Result<bool> Reconcile::look_at_versions() {
    KeyVersions group;
    std::string next;
    while (true) {
        const auto page = pool_.limited->list_versions("", next);
        if (!page) return std::unexpected(page.error());
        for (const StoredVersion& version : page->versions) {
            if (version.key != group.key) {
                if (auto taken = take_versions(group); !taken)
                    return std::unexpected(std::move(taken.error()));
                group = {.key = version.key};
            }
            group.add(version);
        }
        if (!goes_on()) return false;
        if (page->next.empty()) break;
        next = page->next;
    }
    if (auto taken = take_versions(group); !taken) return std::unexpected(std::move(taken.error()));
    return true;
}

Result<void> Reconcile::take_versions(const KeyVersions& versions) {
    if (versions.key.empty()) return {};
    auto verdict = judge_.versions(versions);
    // What is set aside was counted when it was listed.
    if (verdict && verdict->kind == Verdict::Kind::left_out) return {};
    return take(std::move(verdict));
}

Result<void> Reconcile::count_strays() {
    const auto strays = pool_.limited->sweep_strays(options_.now_s - options_.grace_s, true);
    if (!strays) return std::unexpected(strays.error());
    result_.counts.of(FindingKind::stray_upload).found = strays->uploads;
    result_.counts.of(FindingKind::stray_temporary).found = strays->temporaries;
    return {};
}

Result<void> Reconcile::take(Result<Verdict> verdict) {
    ReconcileCounts& counts = result_.counts;
    if (!verdict) {
        const bool is_bearable = options_.deep && is_of_one_object(verdict.error()) &&
                                 counts.unreadable < kMostUnreadable;
        if (!is_bearable) return std::unexpected(std::move(verdict.error()));
        ++counts.unreadable;
        conf::log_warn("not readable reason=\"{}\"", verdict.error().text);
        return {};
    }
    switch (verdict->kind) {
        case Verdict::Kind::well:
            learn(*verdict);
            break;
        case Verdict::Kind::pending:
            ++counts.pending;
            break;
        case Verdict::Kind::young:
            ++counts.young;
            break;
        case Verdict::Kind::left_out:
            ++counts.left_out;
            break;
        case Verdict::Kind::finding:
            note({.kind = verdict->finding, .key = verdict->key, .bytes = verdict->bytes()});
            break;
    }
    return {};
}

// A content that was read and is what its row says so far as that goes has a digest from now on.
void Reconcile::learn(const Verdict& verdict) {
    const bool is_news = verdict.row && !verdict.row->sha256 && verdict.object &&
                         verdict.object->sha256 && verdict.row->role != Role::backup;
    if (!options_.repair || !is_news) return;
    ObjectRecord row = *verdict.row;
    row.sha256 = verdict.object->sha256;
    if (const auto learnt = catalog_.learn_digest(row); !learnt)
        conf::log_warn("digest not written down key={} reason=\"{}\"", row.key,
                       learnt.error().text);
}

void Reconcile::note(const Finding& finding) {
    FindingCounts& counts = result_.counts.of(finding.kind);
    ++counts.found;
    counts.bytes += finding.bytes;
    if (options_.found) options_.found(finding);
    if (!options_.repair) return;
    if (kept_.size() < kMostKept) {
        kept_.push_back(finding);
    } else {
        ++result_.left_over;
    }
}

// What nobody ended is none of what was compared.
bool Reconcile::would_change_too_much() const {
    const ReconcileCounts& counts = result_.counts;
    const std::uint64_t changes = counts.found() - counts.of(FindingKind::stray_upload).found -
                                  counts.of(FindingKind::stray_temporary).found;
    const std::uint64_t share = counts.compared * options_.max_change_percent / 100;
    return changes > std::max(share, kFewChanges);
}

// ---- the second pass

// False where it was to end.
Result<bool> Reconcile::repair_all() {
    fault_point("reconcile.judged");
    std::size_t count = 0;
    for (const Finding& kept : kept_) {
        if (count++ % kBetweenReports == 0 && !goes_on()) return false;
        repair_one(kept);
        fault_point("reconcile.repaired");
    }
    if (auto swept = sweep(); !swept) return std::unexpected(std::move(swept.error()));
    return true;
}

void Reconcile::repair_one(const Finding& kept) {
    auto end = look_and_repair(kept);
    if (!end) end = RepairEnd{.is_repaired = false, .what = end.error().text};
    if (end->is_repaired) ++result_.counts.of(kept.kind).repaired;
    if (options_.ended) options_.ended(kept, *end);
}

Result<RepairEnd> Reconcile::look_and_repair(const Finding& kept) {
    const bool is_version = kept.kind == FindingKind::hidden_version;
    const auto verdict = is_version ? versions_of(kept.key) : judge_.look(kept.key);
    if (!verdict) return std::unexpected(verdict.error());
    switch (verdict->kind) {
        case Verdict::Kind::well:
        case Verdict::Kind::left_out:
            return RepairEnd{.is_repaired = true, .what = "is well by now"};
        case Verdict::Kind::pending:
            return RepairEnd{.is_repaired = false, .what = "a job is at work on it by now"};
        case Verdict::Kind::young:
            return RepairEnd{.is_repaired = false, .what = "it was written anew meanwhile"};
        case Verdict::Kind::finding:
            break;
    }
    return repairer_.repair(*verdict);
}

Result<Verdict> Reconcile::versions_of(const std::string& key) {
    KeyVersions group{.key = key};
    std::string next;
    while (true) {
        const auto page = pool_.limited->list_versions(key, next);
        if (!page) return std::unexpected(page.error());
        for (const StoredVersion& version : page->versions) {
            if (version.key != key) return judge_.versions(group);  // a longer name
            group.add(version);
        }
        if (page->next.empty()) return judge_.versions(group);
        next = page->next;
    }
}

Result<void> Reconcile::sweep() {
    ReconcileCounts& counts = result_.counts;
    FindingCounts& uploads = counts.of(FindingKind::stray_upload);
    FindingCounts& temporaries = counts.of(FindingKind::stray_temporary);
    if (uploads.found + temporaries.found == 0) return {};
    fault_point("reconcile.sweep");
    const auto strays = pool_.limited->sweep_strays(options_.now_s - options_.grace_s, false);
    if (!strays) return std::unexpected(strays.error());
    uploads.repaired = uploads.found;
    temporaries.repaired = temporaries.found;
    return {};
}

}  // namespace

std::uint64_t ReconcileCounts::found() const {
    std::uint64_t sum = 0;
    for (const FindingCounts& each : by_kind)
        sum += each.found;
    return sum;
}

std::uint64_t ReconcileCounts::repaired() const {
    std::uint64_t sum = 0;
    for (const FindingCounts& each : by_kind)
        sum += each.repaired;
    return sum;
}

Result<ReconcileResult> reconcile_pool(Catalog& catalog, DriverSet& drivers, PoolId pool,
                                       const ReconcileOptions& options) {
    const auto found = drivers.find(pool);
    if (!found) return std::unexpected(found.error());
    return Reconcile(catalog, drivers, *found, options).run();
}

}  // namespace tidepool::storage
