// What the sanitizers are told in the unit tests.

// NOLINTBEGIN(bugprone-reserved-identifier): the names that sanitizers look for
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_suppressions();

// libx265 leaks where the tests make HEIC files, which the program never does.
extern "C" const char* __lsan_default_suppressions() {
    return "leak:libx265\n";
}

// glib's locks are not ThreadSanitizer's, so it takes all that libvips' threads share for races.
extern "C" const char* __tsan_default_options() {
    return "ignore_noninstrumented_modules=1";
}

// The same where one of libvips' threads calls us: what it reads was written before that began.
extern "C" const char* __tsan_default_suppressions() {
    return "race:generate_bitmap\n";
}
// NOLINTEND(bugprone-reserved-identifier)
