#include "proxy/api/tiering_api.h"

#include "conf/day_window.h"
#include "proxy/api/body_fields.h"
#include "proxy/api/query_fields.h"

#include <ctime>
#include <mutex>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace tidepool::api {

namespace {

// Its reading is long, and one worker of the catalog must not be many.
std::mutex& planning_mutex() {
    static std::mutex mutex;
    return mutex;
}

Json calls_json(const storage::TierCalls& calls) {
    return {{"class_a", calls.class_a},
            {"class_b", calls.class_b},
            {"class_c", calls.class_c},
            {"egress_bytes", calls.egress_bytes}};
}

Json move_json(const storage::TierMove& move, const PoolNamed& name) {
    const storage::TierImage& image = move.what.image;
    return {{"image", storage::to_text(image.image)},
            {"original", image.original},
            {"from", name(move.from)},
            {"to", name(move.to)},
            {"reason", storage::name_of(move.reason)},
            {"why", move.why},
            {"objects", move.what.size.objects},
            {"bytes", move.what.size.bytes},
            {"uploaded", image.uploaded_s},
            {"last_view", image.views ? Json(image.views->last_s) : Json(nullptr)},
            {"calls", calls_json(move.calls)}};
}

Json left_out_json(const storage::LeftOutImage& left_out, const PoolNamed& name) {
    return {{"image", storage::to_text(left_out.image)},
            {"pool", name(left_out.pool)},
            {"job", left_out.failed.id},
            {"failed", left_out.failed.finished_s},
            {"error_class", left_out.failed.error_class},
            {"error_text", left_out.failed.error_text}};
}

ApiAnswer show_plan(const TieringMeans& means, const storage::TierContext& context,
                    std::uint64_t limit) {
    const auto sweep = plan_with_notes(context, std::time(nullptr));
    if (!sweep) return api_error(sweep.error());
    const auto name = [&](storage::PoolId pool) { return means.drivers->name_of(pool); };
    return {.status = 200, .body = text_of(plan_json(*sweep, name, limit)), .fields = {}};
}

ApiAnswer make_sweep(const TieringMeans& means, const storage::TierContext& context) {
    const auto sweep = storage::run_sweep(context, means.process, std::time(nullptr));
    if (!sweep) return api_error(sweep.error());
    if (!sweep->plan.stopped.empty()) return api_error(409, "conflict", sweep->plan.stopped);
    if (sweep->queued > 0 && means.queued) means.queued();
    return {
        .status = sweep->queued > 0 ? 202 : 200, .body = text_of(sweep_json(*sweep)), .fields = {}};
}

}  // namespace

Result<storage::SweepPlan> plan_with_notes(const storage::TierContext& context,
                                           std::int64_t now_s) {
    auto sweep = storage::plan_sweep(context, now_s);
    if (!sweep) return sweep;
    std::vector<std::string>& notes = sweep->plan.notes;
    const conf::TieringSettings& settings = context.settings;
    if (!settings.enabled)
        notes.emplace_back("tiering.enabled is false: no server makes a sweep by itself");
    const auto window = conf::parse_day_window(settings.window);
    if (window && !window->contains(now_s))
        notes.push_back(
            fmt::format("it is not the time of the day for sweeps ({} UTC)", settings.window));
    return sweep;
}

Json plan_json(const storage::SweepPlan& sweep, const PoolNamed& name, std::uint64_t limit) {
    Json moves = Json::array();
    for (const storage::TierMove& move : sweep.plan.moves) {
        if (limit > 0 && moves.size() == limit) break;
        moves.push_back(move_json(move, name));
    }
    Json left_out = Json::array();
    for (const storage::LeftOutImage& each : sweep.left_out) {
        if (limit > 0 && left_out.size() == limit) break;
        left_out.push_back(left_out_json(each, name));
    }
    Json emptying = Json::array();
    for (const storage::PoolId pool : sweep.emptying)
        emptying.push_back(name(pool));
    return {{"moves", std::move(moves)},
            {"images", sweep.plan.moves.size()},
            {"bytes", sweep.plan.bytes},
            {"calls", calls_json(sweep.plan.calls)},
            {"cost_dollars",
             {{"calls", sweep.plan.bill.calls_dollars},
              {"egress_at_most", sweep.plan.bill.egress_dollars},
              {"storage_a_month", sweep.plan.bill.storage_dollars_a_month}}},
            {"open", sweep.open},
            {"left_out", std::move(left_out)},
            {"emptying", std::move(emptying)},
            {"stopped", sweep.stopped.empty() ? Json(nullptr) : Json(sweep.stopped)},
            {"notes", sweep.plan.notes}};
}

Json sweep_json(const storage::Sweep& sweep) {
    return {{"images", sweep.queued},
            {"bytes", sweep.plan.plan.bytes},
            {"batch", sweep.batch.empty() ? Json(nullptr) : Json(sweep.batch)},
            {"notes", sweep.plan.plan.notes}};
}

ApiAnswer answer_tiering(const TieringMeans& means, const ApiCall& call) {
    const bool is_plan = call.path.ends_with("/plan");
    std::uint64_t limit = 0;
    if (is_plan) {
        if (auto wrong = check_fields(call.query, {"limit"})) return std::move(*wrong);
        if (const std::string text = query_value(call.query, "limit"); !text.empty()) {
            const auto number = read_number(text);
            if (!number) return bad_field("limit", "expected a whole number; 0 = all");
            limit = static_cast<std::uint64_t>(*number);
        }
    } else {
        auto fields = BodyFields::parse(call.body);
        if (!fields) return std::move(fields.error());
        if (auto wrong = fields->problems()) return std::move(*wrong);
    }
    const std::unique_lock lock(planning_mutex(), std::try_to_lock);
    if (!lock.owns_lock())
        return api_error(503, "overloaded", "another plan is being made", "Retry-After: 1\r\n");
    const std::vector<storage::KnownPool> pools = means.drivers->pools();
    const conf::TieringSettings settings = means.settings();
    const storage::TierContext context{*means.catalog, pools, settings, means.drivers};
    return is_plan ? show_plan(means, context, limit) : make_sweep(means, context);
}

}  // namespace tidepool::api
