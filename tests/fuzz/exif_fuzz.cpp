// Whatever EXIF data says, what is taken of it lies inside of it, is a time and a place that there
// are, and can be shown.
#include "tests/fuzz/check.h"
#include "transform/exif.h"
#include "transform/printable.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

using namespace tidepool::transform;
using tidepool::fuzz::check;

namespace {

constexpr std::size_t kMost = 64;

void check_text(std::string_view text, std::string_view whole) {
    check(text.empty() || (text.data() >= whole.data() &&
                           text.data() + text.size() <= whole.data() + whole.size()));
    const std::string shown = printable_text(text, kMost);
    check(shown.size() <= kMost);
    check(printable_text(shown, kMost) == shown);
    for (const char c : shown)
        check(static_cast<unsigned char>(c) >= ' ' && c != '\x7F');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view whole(reinterpret_cast<const char*>(data), size);
    const Exif exif = read_exif({whole.data(), whole.size()});
    for (const std::string_view text : {exif.make, exif.model, exif.lens, whole})
        check_text(text, whole);
    check(exif.taken.empty() || is_exif_time(exif.taken));
    check(!exif.position || is_on_earth(*exif.position));
    return 0;
}
