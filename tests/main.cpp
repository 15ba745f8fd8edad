#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

// What LeakSanitizer does not report: libx265 leaks where the tests make HEIC files, which the
// program never does.
extern "C" const char*
__lsan_default_suppressions();  // NOLINT(bugprone-reserved-identifier): its name
extern "C" const char* __lsan_default_suppressions() {  // NOLINT(bugprone-reserved-identifier)
    return "leak:libx265\n";
}
