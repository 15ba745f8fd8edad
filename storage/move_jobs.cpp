#include "storage/move_jobs.h"

#include "storage/job_keys.h"
#include "storage/job_payload.h"

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

constexpr int kCleanPriority = 50;

void add_target(PayloadWriter& payload, const MoveTarget& target) {
    if (target.image) {
        payload.add("image", to_text(*target.image));
    } else {
        payload.add("key", target.key);
    }
}

MoveTarget read_target(const PayloadReader& payload, const char* pool) {
    MoveTarget target;
    target.to = payload.number(pool).value_or(0);
    target.key = payload.text("key").value_or("");
    if (const auto image = payload.text("image")) target.image = parse_uuid(*image);
    return target;
}

bool is_understood(const MoveTarget& target) {
    return target.to != 0 && (target.image || !target.key.empty());
}

// What of them is not to be there.
std::vector<Leftover> copies_of(const MoveTarget& target, std::span<const ObjectRecord> objects) {
    std::vector<Leftover> copies;
    for (const ObjectRecord& object : objects) {
        if (object.pool != target.to)
            copies.push_back({object.key, stamp_of(object.size, object.modified_s)});
    }
    return copies;
}

}  // namespace

std::string name_of(const MoveTarget& target) {
    return target.image ? to_text(*target.image) : target.key;
}

NewJob move_job(const MoveTarget& target, PoolId from, int priority, const std::string& batch) {
    PayloadWriter payload;
    add_target(payload, target);
    payload.add("to", target.to);
    return {.type = "move",
            .payload = payload.text(),
            .dedup_key = move_key(name_of(target)),
            .priority = priority,
            .lane = fmt::format("move {}>{}", from, target.to),
            .batch = batch};
}

Result<MoveTarget> target_of(const JobRecord& job) {
    MoveTarget target = read_target(PayloadReader(job.payload), "to");
    if (!is_understood(target))
        return fail(ErrorKind::invalid, fmt::format("job {} does not say what to move", job.id));
    return target;
}

std::string stamp_of(std::uint64_t size, std::int64_t modified_s) {
    return fmt::format("{}/{}", size, modified_s);
}

NewJob clean_job(const Cleaning& cleaning, std::int64_t not_before_s) {
    std::vector<std::string> keys;
    std::vector<std::string> stamps;
    for (const Leftover& each : cleaning.leftovers) {
        keys.push_back(each.key);
        stamps.push_back(each.stamp);
    }
    PayloadWriter payload;
    payload.add("pool", cleaning.from.to);
    add_target(payload, cleaning.from);
    payload.add("keys", keys).add("stamps", stamps);
    if (cleaning.is_whole) payload.add_flag("whole", true);
    const MoveProof& proof = cleaning.proof;
    if (proof.pool != 0) payload.add("proved_in", proof.pool).add("proved_s", proof.at_s);
    return {.type = "clean",
            .payload = payload.text(),
            .dedup_key = clean_key(cleaning.from.to, name_of(cleaning.from)),
            .priority = kCleanPriority,
            .not_before_s = not_before_s,
            .lane = fmt::format("clean {}", cleaning.from.to),
            .is_apart = true};
}

Result<Cleaning> cleaning_of(const JobRecord& job) {
    const PayloadReader payload(job.payload);
    const auto keys = payload.texts("keys");
    const auto stamps = payload.texts("stamps");
    Cleaning cleaning{.from = read_target(payload, "pool"), .leftovers = {}};
    if (!is_understood(cleaning.from) || keys.size() != stamps.size())
        return fail(ErrorKind::invalid, fmt::format("job {} does not say what to clean", job.id));
    for (std::size_t i = 0; i < keys.size(); ++i)
        cleaning.leftovers.push_back({keys[i], stamps[i]});
    cleaning.is_whole = payload.flag("whole").value_or(false);
    cleaning.proof = {payload.number("proved_in").value_or(0),
                      payload.number("proved_s").value_or(0)};
    return cleaning;
}

NewJob clean_after_move(const MoveTarget& target, std::span<const ObjectRecord> objects,
                        std::int64_t now_s) {
    return clean_job({.from = target, .leftovers = copies_of(target, objects), .is_whole = true},
                     now_s);
}

NewJob clean_of_removed(const MoveTarget& target, std::span<const ObjectRecord> objects,
                        std::int64_t now_s) {
    return clean_job({.from = target, .leftovers = copies_of(target, objects)}, now_s);
}

}  // namespace tidepool::storage
