#include "storage/move_queue.h"

#include "storage/mover.h"

#include <utility>
#include <vector>

namespace tidepool::storage {

namespace {

class MoveQueue {
  public:
    MoveQueue(Catalog& catalog, const MoveSelection& selection, std::string batch, int priority,
              std::int64_t now_s)
        : catalog_(catalog),
          selection_(selection),
          batch_(std::move(batch)),
          priority_(priority),
          now_s_(now_s) {}

    // False: the limit is reached.
    Result<bool> add(const ObjectRecord& row) {
        const auto target = target_of_row(row);
        if (!target) return std::unexpected(target.error());
        if (!*target) return true;
        if (auto counted = count(**target, row); !counted) return std::unexpected(counted.error());
        jobs_.push_back(move_job(**target, selection_.from, priority_, batch_));
        return selection_.limit == 0 || plan_.images < selection_.limit;
    }

    Result<void> flush() {
        if (!batch_.empty() && !jobs_.empty()) {
            const auto queued = catalog_.queue_jobs(jobs_, now_s_);
            if (!queued) return std::unexpected(queued.error());
            queued_.insert(queued_.end(), queued->begin(), queued->end());
        }
        jobs_.clear();
        return {};
    }

    const MovePlan& plan() const { return plan_; }
    std::vector<JobId>& queued() { return queued_; }

  private:
    // Nothing: it is not moved, or goes with another object.
    Result<std::optional<MoveTarget>> target_of_row(const ObjectRecord& row) {
        MoveTarget target{.image = {}, .key = row.key, .to = selection_.to};
        if (!row.image) {
            if (!is_old(row.modified_s)) return std::optional<MoveTarget>();
            return std::optional(std::move(target));
        }
        const auto image = catalog_.find_image(*row.image);
        if (!image) return std::unexpected(image.error());
        const bool belongs = *image && ((*image)->original == row.key || row.role == Role::variant);
        if (!belongs) return std::optional(std::move(target));
        target.image = row.image;
        if (row.role == Role::variant) {
            // With its original; one that is apart from it is brought together with it.
            if ((*image)->pool == row.pool) return std::optional<MoveTarget>();
            target.to = (*image)->pool;
            return std::optional(std::move(target));
        }
        const auto idle = is_idle(**image);
        if (!idle) return std::unexpected(idle.error());
        if (!is_old((*image)->uploaded_s) || !*idle) return std::optional<MoveTarget>();
        return std::optional(std::move(target));
    }

    bool is_old(std::int64_t time_s) const {
        return !selection_.uploaded_before_s || time_s < *selection_.uploaded_before_s;
    }

    Result<bool> is_idle(const ImageRecord& image) {
        if (!selection_.viewed_before_s) return true;
        const auto views = catalog_.find_views(image.uuid);
        if (!views) return std::unexpected(views.error());
        // Nobody has looked at it since it came.
        return (*views ? (*views)->last_s : image.uploaded_s) < *selection_.viewed_before_s;
    }

    Result<void> count(const MoveTarget& target, const ObjectRecord& row) {
        ++plan_.images;
        if (!target.image) {
            ++plan_.objects;
            plan_.bytes += row.size;
            return {};
        }
        const auto rows = catalog_.objects_of(*target.image);
        if (!rows) return std::unexpected(rows.error());
        for (const ObjectRecord& each : *rows) {
            if (each.pool == target.to) continue;
            ++plan_.objects;
            plan_.bytes += each.size;
        }
        return {};
    }

    Catalog& catalog_;
    const MoveSelection selection_;
    const std::string batch_;
    const int priority_;
    const std::int64_t now_s_;
    std::vector<NewJob> jobs_;
    std::vector<JobId> queued_;
    MovePlan plan_;
};

}  // namespace

Result<MovePlan> queue_moves(Catalog& catalog, const MoveSelection& selection,
                             const std::string& batch, int priority, std::int64_t now_s,
                             const std::function<void(const MovePlan&)>& report,
                             std::vector<JobId>* queued) {
    MoveQueue queue(catalog, selection, batch, priority, now_s);
    std::string after;
    bool goes_on = true;
    while (goes_on) {
        const auto page = catalog.list(selection.from, "", after, Catalog::kPage);
        if (!page) return std::unexpected(page.error());
        for (const ObjectRecord& row : *page) {
            const auto added = queue.add(row);
            if (!added) return std::unexpected(added.error());
            goes_on = *added;
            if (!goes_on) break;
        }
        if (auto flushed = queue.flush(); !flushed) return std::unexpected(flushed.error());
        if (report) report(queue.plan());
        if (page->size() < Catalog::kPage) break;
        after = page->back().key;
    }
    if (queued != nullptr) *queued = std::move(queue.queued());
    return queue.plan();
}

}  // namespace tidepool::storage
