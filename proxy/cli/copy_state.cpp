#include "proxy/cli/copy_state.h"

#include "conf/random_name.h"
#include "proxy/cli/job_wait.h"
#include "proxy/cli/output.h"
#include "storage/backups.h"

#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace tidepool::cli {

Result<void> require_copies(Workspace& workspace, CopyKind kind) {
    if (kind == CopyKind::mirror) {
        if (storage::has_mirror(workspace.drivers())) return {};
        return fail(ErrorKind::invalid,
                    "no pool is mirrored: set mirror = \"NAME\" for one that is to be");
    }
    if (storage::has_backup_pool(workspace.drivers())) return {};
    return fail(ErrorKind::invalid,
                "no pool takes backups: set is_backup_target = true for one of storage_type s3");
}

int show_copies(Workspace& workspace, CopyKind kind, bool json) {
    if (auto has = require_copies(workspace, kind); !has) return wrong_use(has.error(), json);
    const bool of_mirrors = kind == CopyKind::mirror;
    storage::BackupLook look;
    look.of_mirrors = of_mirrors;
    const auto states =
        storage::look_for_missing_backups(workspace.catalog(), workspace.drivers(), look);
    if (!states) return failed(states.error(), json);
    const char* what = of_mirrors ? "objects" : "originals";
    Json all = Json::array();
    bool is_whole = true;
    for (const storage::BackupState& state : *states) {
        is_whole = is_whole && state.missing == 0;
        const std::string pool = workspace.pool_name(state.target);
        if (json) {
            all.push_back({{"pool", pool},
                           {what, state.objects},
                           {"missing", state.missing},
                           {"missing_bytes", state.missing_bytes}});
        } else {
            fmt::print("{}: {} of {} {} have a copy; {} are missing, {}\n", pool,
                       state.objects - state.missing, state.objects, what, state.missing,
                       human_size(state.missing_bytes));
        }
    }
    if (json) print_json(all);
    return is_whole ? 0 : 1;
}

int make_copies(Workspace& workspace, CopyKind kind, bool json) {
    if (auto has = require_copies(workspace, kind); !has) return wrong_use(has.error(), json);
    const std::string batch = fmt::format("backup {}", conf::random_name());
    std::vector<storage::JobId> jobs;
    storage::BackupLook look;
    look.of_mirrors = kind == CopyKind::mirror;
    look.batch = batch;
    look.now_s = now_s();
    look.added_before_s = look.now_s + 1;
    look.queued = &jobs;
    const auto queued =
        storage::look_for_missing_backups(workspace.catalog(), workspace.drivers(), look);
    if (!queued) return failed(queued.error(), json);
    const char* what = kind == CopyKind::mirror ? "mirror" : "back up";
    return wait_for_batch(workspace, batch, what, json, std::move(jobs));
}

}  // namespace tidepool::cli
