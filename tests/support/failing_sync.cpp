// fsync(2) as of a disk that fails, in whatever is started with this by LD_PRELOAD: of what is at a
// path that ends as the file says that TIDEPOOL_TEST_FAILING_SYNC names, where there is one.
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string>

#include <sys/syscall.h>
#include <unistd.h>

namespace {

bool is_to_fail(int fd) {
    const char* const name = std::getenv("TIDEPOOL_TEST_FAILING_SYNC");
    std::string end;
    if (name == nullptr || !std::getline(std::ifstream(name), end)) return false;
    std::array<char, 4096> path{};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t length = readlink(link.c_str(), path.data(), path.size());
    return length > 0 && std::string(path.data(), static_cast<std::size_t>(length)).ends_with(end);
}

}  // namespace

extern "C" int fsync(int fd) {
    if (is_to_fail(fd)) {
        errno = EIO;
        return -1;
    }
    return static_cast<int>(syscall(SYS_fsync, fd));
}
