// What is done with a file that was received, before it counts. Blocking calls.
#pragma once

#include "conf/error.h"
#include "storage/open_file.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace tidepool::upload {

// The content of a whole file of this type without its personal metadata, see
// transform::without_personal_metadata; nothing where it has none.
Result<std::optional<std::vector<char>>> without_metadata(int fd, std::uint64_t size,
                                                          std::string_view type);

// The same file, opened once more, for who reads it.
Result<std::shared_ptr<const storage::OpenFile>> read_only_file(int fd);

}  // namespace tidepool::upload
