#include "conf/small_file.h"

#include "conf/bytes.h"
#include "conf/descriptor.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tidepool::conf {

namespace {

// Up to `max_bytes`, fewer at the end of the file.
Result<std::string> read_up_to(int descriptor, const std::string& path, std::size_t max_bytes) {
    std::string content(max_bytes, '\0');
    std::size_t filled = 0;
    while (filled < max_bytes) {
        const ssize_t got = read(descriptor, content.data() + filled, max_bytes - filled);
        if (got == 0) break;
        if (got > 0) {
            filled += static_cast<std::size_t>(got);
        } else if (errno != EINTR) {
            return fail_errno(errno, "read " + path);
        }
    }
    content.resize(filled);
    return content;
}

}  // namespace

Result<std::string> read_small_file(const std::string& path, std::size_t max_bytes) {
    // A path from a file may hold a NUL, which would end it here.
    if (path.find('\0') != path.npos) return fail(ErrorKind::invalid, "a path has no NUL");
    // O_NONBLOCK, for open() waits at a pipe without a writer.
    const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file) return fail_errno(errno, "open " + path);

    struct stat status{};
    if (fstat(file.get(), &status) != 0) return fail_errno(errno, "stat " + path);
    if (!S_ISREG(status.st_mode)) return fail(ErrorKind::denied, path + " is not a regular file");

    // One byte more than allowed tells a full file from a longer one; its stated size may change
    // meanwhile.
    auto content = read_up_to(file.get(), path, max_bytes + 1);
    if (content && content->size() > max_bytes) {
        return fail(ErrorKind::invalid, path + " is larger than " + format_size(max_bytes));
    }
    return content;
}

}  // namespace tidepool::conf
