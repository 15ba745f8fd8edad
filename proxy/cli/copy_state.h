// What has its copy in the backup pools or in the mirrors, and what has none.
#pragma once

#include "proxy/cli/workspace.h"

namespace tidepool::cli {

enum class CopyKind { backup, mirror };

// Says it; the exit status: 1 where one is missing, 2 where there is no such pool.
int show_copies(Workspace& workspace, CopyKind kind, bool json);
// Copies what is missing, and waits for it; the exit status.
int make_copies(Workspace& workspace, CopyKind kind, bool json);

// Invalid where there is no such pool.
Result<void> require_copies(Workspace& workspace, CopyKind kind);

}  // namespace tidepool::cli
