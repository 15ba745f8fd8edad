#include "transform/test_hooks.h"

#ifdef TIDEPOOL_TEST_HOOKS

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <semaphore>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tidepool::transform {

namespace {

constexpr std::size_t kBlock = std::size_t{64} * 1024 * 1024;

// NOLINTBEGIN(cppcoreguidelines-owning-memory): what is taken here is never given back
char* take_memory() {
    auto* const block = new char[kBlock];
    std::memset(block, 1, kBlock);
    return block;
}
// NOLINTEND(cppcoreguidelines-owning-memory)

[[noreturn]] void hang() {
    for (volatile unsigned turns = 0;; turns = turns + 1) {
    }
}

// Hangs as well, and costs nothing.
[[noreturn]] void doze() {
    std::binary_semaphore never(0);
    while (true)
        never.acquire();
}

void eat() {
    std::vector<char*> taken;
    while (true)
        taken.push_back(take_memory());
}

void keep() {
    static std::vector<char*> kept;
    kept.push_back(take_memory());
}

// Many memory files, or much in one.
bool can_hoard() {
    constexpr int kMany = 4;
    constexpr off_t kMuch = off_t{1} << 30;
    int last = -1;
    for (int made = 0; made < kMany; ++made) {
        const int file = memfd_create("hoard", MFD_CLOEXEC);
        if (file < 0) break;
        if (made + 1 == kMany) return true;
        last = file;
    }
    return ftruncate(last, kMuch) == 0;
}

// Without the report of a sanitizer: it is no finding.
void crash() {
    std::signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

// As a decoder that was taken over would; the crash says that it could.
void crash_if(bool worked) {
    if (worked) crash();
}

// What the source says of this variant, or "".
std::string_view words_of(std::string_view source, std::size_t index) {
    constexpr std::string_view kMark = "TEST:";
    if (source.starts_with(kMark)) return index == 0 ? source.substr(kMark.size()) : "";
    constexpr std::size_t kLongest = 32;  // mark and word
    const std::string_view end = source.substr(source.size() - std::min(source.size(), kLongest));
    const std::size_t mark = end.rfind(kMark);
    if (mark == end.npos) return "";
    const std::string_view words = end.substr(mark + kMark.size());
    const bool is_meant = words.size() > 2 && words[1] == ':' && index < 10 &&
                          words[0] == static_cast<char>('0' + index);
    return is_meant ? words.substr(2) : "";
}

}  // namespace

void obey_test_source(std::span<const char> source, std::size_t index) {
    const std::string_view words = words_of({source.data(), source.size()}, index);
    if (words.empty() ||
        std::getenv(kTestDecoderVariable) == nullptr)  // NOLINT(concurrency-mt-unsafe): constant
        return;
    if (words.starts_with("crash")) crash();
    if (words.starts_with("hang")) hang();
    if (words.starts_with("doze")) doze();
    if (words.starts_with("eat")) eat();
    if (words.starts_with("keep")) keep();
    if (words.starts_with("open")) crash_if(open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0);
    if (words.starts_with("hoard")) crash_if(can_hoard());
    if (words.starts_with("fork")) crash_if(fork() >= 0);
    if (words.starts_with("socket")) crash_if(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0);
    if (words.starts_with("exec")) execl("/bin/true", "true", nullptr);
}

}  // namespace tidepool::transform

#endif
