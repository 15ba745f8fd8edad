// Whatever a file is, taking its metadata out ends, and reads nothing beyond it; what comes out is
// whole where the file was, is no longer, and has nothing more to take out.
#include "tests/fuzz/check.h"
#include "transform/strip_metadata.h"
#include "transform/whole_image.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

using namespace tidepool;
using tidepool::fuzz::check;

namespace {

constexpr std::array<std::string_view, 6> kTypes{"image/jpeg", "image/png",  "image/gif",
                                                 "image/webp", "image/avif", "image/bmp"};

void check_type(const std::vector<char>& file, std::string_view type) {
    const bool is_whole = transform::check_whole(file, type).has_value();
    const auto has_some = transform::has_personal_metadata(file, type);
    if (!has_some) {
        check(has_some.error().kind == ErrorKind::corrupt && !has_some.error().text.empty());
        // An AVIF's metadata need not be where it can be found.
        check(!is_whole || type == "image/avif");
        return;
    }
    check(is_whole);
    if (!*has_some) return;
    check(type != "image/bmp");
    std::vector<char> out;
    transform::strip_personal_metadata(file, type, [&](std::string_view part) {
        out.insert(out.end(), part.begin(), part.end());
    });
    check(out.size() <= file.size() && out != file);
    check(transform::check_whole(out, type).has_value());
    const auto again = transform::has_personal_metadata(out, type);
    check(again && !*again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // In memory of its own, so that a sanitizer sees who reads beyond it.
    const std::vector<char> file(data, data + size);
    for (const std::string_view type : kTypes)
        check_type(file, type);
    check(!transform::has_personal_metadata(file, "image/svg+xml"));
    return 0;
}
