// The part of strip_metadata.h that is about AVIF, whose metadata is in items and boxes that
// offsets lead to. Pure.
#pragma once

#include "transform/stripped_output.h"

#include <string_view>

namespace tidepool::transform {

// Writes to `out` the file with its metadata overwritten where it is, so that no offset changes,
// and without what follows its last box. Returns what is wrong, fit for the client, or "".
std::string_view strip_avif(std::string_view file, StrippedOutput& out);

}  // namespace tidepool::transform
