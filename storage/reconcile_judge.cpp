#include "storage/reconcile_judge.h"

#include "storage/job_keys.h"
#include "storage/key.h"
#include "storage/mover.h"
#include "storage/streams.h"

#include <algorithm>

namespace tidepool::storage {

namespace {

Verdict of_kind(Verdict::Kind kind, Verdict verdict) {
    verdict.kind = kind;
    return verdict;
}

}  // namespace

void KeyVersions::add(const StoredVersion& version) {
    newest_s = std::max(newest_s, version.modified_s);
    if (version.is_latest) {
        latest = version;
    } else {
        ++hidden;
        hidden_bytes += version.size;
    }
}

bool ReconcileJudge::is_left_out(const std::string& key) const {
    const std::string& aside = rules_.quarantine_prefix;
    return (!aside.empty() && key.starts_with(aside)) || !is_servable_key(key);
}

Result<Verdict> ReconcileJudge::listed(const ObjectRecord* row, const ObjectInfo* object) {
    Verdict verdict{.key = row != nullptr ? row->key : object->key};
    if (row != nullptr) verdict.row = *row;
    if (object != nullptr) verdict.object = *object;
    if (is_left_out(verdict.key)) return of_kind(Verdict::Kind::left_out, std::move(verdict));
    if (row != nullptr && object != nullptr && !rules_.deep &&
        compare(*row, *object) == Match::same) {
        const auto home = other_home(*row);
        if (!home) return std::unexpected(home.error());
        if (!*home) return verdict;
    }
    if (row == nullptr) {
        if (auto taken = take_row(verdict); !taken)
            return std::unexpected(std::move(taken.error()));
        // Of what a move left behind there may be much; the store need not be asked for it.
        const auto is_pending = is_busy(verdict);
        if (!is_pending) return std::unexpected(is_pending.error());
        if (*is_pending) return of_kind(Verdict::Kind::pending, std::move(verdict));
    }
    if (rules_.deep && row != nullptr && object != nullptr) return look(verdict.key);
    if (looks_ < kMostLooks) {
        ++looks_;
        return look(verdict.key);
    }
    return is_here(verdict) ? judge_row(std::move(verdict)) : judge_object(std::move(verdict));
}

// What the catalog says of the key: where it has a copy here and its object elsewhere, of the copy.
Result<void> ReconcileJudge::take_row(Verdict& verdict) {
    auto location = catalog_.locate(verdict.key);
    if (!location) return std::unexpected(std::move(location.error()));
    verdict.row = std::move(location->row);
    verdict.is_deleted = location->is_deleted;
    if (is_here(verdict)) return {};
    const auto copy = catalog_.find_backup(pool_.known.id, verdict.key);
    if (!copy) return std::unexpected(copy.error());
    if (!*copy) return {};
    verdict.row = record_of_copy(**copy);
    verdict.copy_of = (*copy)->original;
    return {};
}

bool ReconcileJudge::is_here(const Verdict& verdict) const {
    return verdict.row && verdict.row->pool == pool_.known.id;
}

Result<Verdict> ReconcileJudge::look(const std::string& key) {
    Verdict verdict{.key = key};
    image_.reset();  // as it is now
    if (is_left_out(key)) return of_kind(Verdict::Kind::left_out, std::move(verdict));
    auto object = object_of(key, rules_.deep);
    if (!object) return std::unexpected(std::move(object.error()));
    verdict.object = std::move(*object);
    // The row after the object, as an object is stored before its row is made.
    if (auto taken = take_row(verdict); !taken) return std::unexpected(std::move(taken.error()));
    if (!is_here(verdict)) return verdict.object ? judge_object(std::move(verdict)) : verdict;
    if (!verdict.object) {
        // It may have been stored, with its row, since we looked.
        auto again = object_of(key, false);
        if (!again) return std::unexpected(std::move(again.error()));
        verdict.object = std::move(*again);
    }
    const bool can_tell = verdict.object && verdict.row->sha256 &&
                          compare(*verdict.row, *verdict.object) == Match::unsure;
    if (can_tell) {
        auto read = object_of(key, true);
        if (!read) return std::unexpected(std::move(read.error()));
        verdict.object = std::move(*read);
    }
    return judge_row(std::move(verdict));
}

Result<std::optional<ObjectInfo>> ReconcileJudge::object_of(const std::string& key, bool read) {
    HashingSink sink;
    auto info = read ? pool_.limited->get(key, {}, sink) : pool_.limited->head(key);
    if (!info && info.error().kind == ErrorKind::not_found) return std::optional<ObjectInfo>();
    // All of it was read, and is not what the store itself says of it.
    if (!info && read && info.error().kind == ErrorKind::corrupt) {
        const auto listed = pool_.limited->head(key);
        if (listed && listed->size == sink.bytes()) info = *listed;
    }
    if (!info) return std::unexpected(std::move(info.error()));
    if (read) info->sha256 = sink.finish();
    return std::optional(std::move(*info));
}

// The row names this pool.
Result<Verdict> ReconcileJudge::judge_row(Verdict verdict) {
    if (!verdict.object) return found(FindingKind::missing_object, std::move(verdict));
    switch (compare(*verdict.row, *verdict.object)) {
        case Match::same:
            break;
        case Match::stale_row:
            return found(FindingKind::stale_row, std::move(verdict));
        case Match::wrong_size:
            return found(FindingKind::wrong_size, std::move(verdict));
        case Match::wrong_hash:
        case Match::unsure:
            return found(FindingKind::wrong_hash, std::move(verdict));
    }
    auto home = other_home(*verdict.row);
    if (!home) return std::unexpected(std::move(home.error()));
    if (!*home) return verdict;
    verdict.home = *home;
    return found(FindingKind::late_variant, std::move(verdict));
}

// There is an object, and no row that names this pool.
Result<Verdict> ReconcileJudge::judge_object(Verdict verdict) {
    if (verdict.row) return found(FindingKind::elsewhere, std::move(verdict));
    if (verdict.is_deleted) return found(FindingKind::unknown_object, std::move(verdict));
    auto home = other_home(object_record(verdict.key, pool_.known.id));
    if (!home) return std::unexpected(std::move(home.error()));
    verdict.home = *home;
    return found(*home ? FindingKind::late_variant : FindingKind::unknown_object,
                 std::move(verdict));
}

Result<Verdict> ReconcileJudge::found(FindingKind kind, Verdict verdict) {
    const auto is_pending = is_busy(verdict);
    if (!is_pending) return std::unexpected(is_pending.error());
    verdict.finding = kind;
    if (*is_pending) return of_kind(Verdict::Kind::pending, std::move(verdict));
    // An unknown time is no old one.
    const bool is_young = verdict.object && rules_.grace_s > 0 &&
                          (verdict.object->modified_s == 0 ||
                           verdict.object->modified_s > rules_.now_s - rules_.grace_s);
    return of_kind(is_young ? Verdict::Kind::young : Verdict::Kind::finding, std::move(verdict));
}

Result<bool> ReconcileJudge::is_open(const std::string& dedup_key) {
    const auto jobs = catalog_.jobs_named(dedup_key);
    if (!jobs) return std::unexpected(jobs.error());
    return std::ranges::any_of(*jobs,
                               [&](const JobRecord& job) { return job.id != rules_.asking; });
}

Result<bool> ReconcileJudge::is_busy(const Verdict& verdict) {
    const auto image = verdict.row ? verdict.row->image : parse_image_key(verdict.key).image;
    const std::string name = image ? to_text(*image) : verdict.key;
    if (verdict.is_deleted && verdict.row) return true;
    if (image) {
        const auto uploads = catalog_.is_being_uploaded(*image);
        if (!uploads || *uploads) return uploads;
    }
    for (const std::string& key :
         {move_key(name), clean_key(pool_.known.id, name), delete_key(name),
          copy_key(pool_.known.id, verdict.copy_of.empty() ? verdict.key : verdict.copy_of)}) {
        const auto open = is_open(key);
        if (!open || *open) return open;
    }
    if (!verdict.is_deleted) return false;
    const auto record = catalog_.find_image(*image);
    if (!record) return std::unexpected(record.error());
    return record->has_value();  // it is forgotten when all of it is gone
}

// Nothing where the variant is where its image is, or of no image that is known.
Result<std::optional<PoolId>> ReconcileJudge::other_home(const ObjectRecord& object) {
    if (object.role != Role::variant || !object.image) return std::optional<PoolId>();
    if (image_ != object.image) {
        const auto image = catalog_.find_image(*object.image);
        if (!image) return std::unexpected(image.error());
        image_ = object.image;
        image_home_.reset();
        if (*image) image_home_ = (*image)->pool;
    }
    return image_home_ == pool_.known.id ? std::nullopt : image_home_;
}

Result<Verdict> ReconcileJudge::versions(const KeyVersions& versions) {
    Verdict verdict{.finding = FindingKind::hidden_version, .key = versions.key};
    const bool has_marker = versions.latest && versions.latest->is_marker;
    if (versions.hidden == 0 && !has_marker) return verdict;
    const std::string& aside = rules_.quarantine_prefix;
    if (!aside.empty() && versions.key.starts_with(aside))
        return of_kind(Verdict::Kind::left_out, std::move(verdict));
    if (auto taken = take_row(verdict); !taken) return std::unexpected(std::move(taken.error()));
    // By this the newest of them counts for the grace time.
    verdict.object = ObjectInfo{
        .key = versions.key, .size = versions.hidden_bytes, .modified_s = versions.newest_s};
    verdict.hidden = versions.hidden;
    if (versions.latest) verdict.object->version_id = versions.latest->version_id;
    return found(FindingKind::hidden_version, std::move(verdict));
}

}  // namespace tidepool::storage
