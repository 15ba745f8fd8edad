#include "conf/fault_point.h"

#ifdef TIDEPOOL_TEST_HOOKS

#include <charconv>
#include <csignal>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace tidepool {

namespace {

// How often each may still be passed, and once more.
std::map<std::string, int, std::less<>> read_faults() {
    std::map<std::string, int, std::less<>> faults;
    const char* const set = std::getenv(kFaultPointVariable);
    std::string_view text = set == nullptr ? "" : set;
    while (!text.empty()) {
        const std::string_view one = text.substr(0, text.find(','));
        text.remove_prefix(std::min(one.size() + 1, text.size()));
        const std::size_t colon = one.find(':');
        int count = 1;
        if (colon != one.npos)
            std::from_chars(one.data() + colon + 1, one.data() + one.size(), count);
        faults[std::string(one.substr(0, colon))] = count;
    }
    return faults;
}

}  // namespace

void fault_point(const char* name) {
    static std::mutex mutex;
    static std::map<std::string, int, std::less<>> faults = read_faults();
    const std::lock_guard lock(mutex);
    const auto found = faults.find(name);
    if (found != faults.end() && --found->second == 0) std::raise(SIGKILL);
}

}  // namespace tidepool

#endif
