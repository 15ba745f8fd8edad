// Any text is a configuration or a list of problems: never a crash, never an exception. What was
// read without a problem must also pass the check that settings of the command line go through.
#include "conf/settings_reader.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace tidepool::conf;
    const ReadSettings read =
        read_settings({reinterpret_cast<const char*>(data), size}, "fuzz.toml");
    for (const Problem& problem : read.problems) {
        // A problem is one line of a log.
        if (problem.message.empty() || problem.text().find('\n') != std::string::npos) std::abort();
    }
    if (read.problems.empty() && !check_settings(read.settings).empty()) std::abort();
    return 0;
}
