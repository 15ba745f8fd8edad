// Files that an operator wrote, read and replaced whole.
#pragma once

#include "conf/error.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace tidepool::conf {

// The content of a regular file. A device, a pipe or a folder is `denied` (reading one could block
// for ever), a file of more than `max_bytes` is `invalid`.
Result<std::string> read_small_file(const std::string& path, std::size_t max_bytes);

// Whether this user may write the file, or make it where there is none, with the last folder on the
// way to it. Makes and changes nothing.
Result<void> may_write(const std::string& path);

// Makes the folder that the file is to be in, for us and our group, where that alone is missing.
// What is wrong says who opens the file then.
void make_last_folder(const std::string& path);

// Gives a file this content in one step: whoever reads it, also after a crash, finds the old one or
// the new one, whole. Follows a link to the file that it names, keeps the rights of one that is
// there (else 0644), and needs to write into its folder. Durable once it returns; where it fails,
// the old file stays and nothing lies beside it.
Result<void> replace_small_file(const std::string& path, std::string_view content);

}  // namespace tidepool::conf
