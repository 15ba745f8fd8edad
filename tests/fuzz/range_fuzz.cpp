// Whatever a Range field says: what is sent lies inside the file, no byte twice, and never more
// than the file itself.
#include "proxy/http/range.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace tidepool::http;
    if (size < 3) return 0;
    // Mostly small files, whose ends are hit often, and some of the largest size there is.
    std::uint64_t file_size = data[0];
    if (data[1] >= 0xF0) file_size = UINT64_MAX / 2 - data[0];
    const unsigned limit = data[2] % 16 + 1;
    const std::string_view header(reinterpret_cast<const char*>(data) + 3, size - 3);

    const RangeChoice choice = choose_ranges(header, file_size, limit);
    require((choice.kind == RangeChoice::Kind::partial) == !choice.ranges.empty());
    require(choice.ranges.size() <= limit);
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < choice.ranges.size(); ++i) {
        const ByteRange& range = choice.ranges[i];
        require(range.length > 0 && range.first < file_size);
        require(range.length <= file_size - range.first);
        total += range.length;
        for (std::size_t k = 0; k < i; ++k) {
            const ByteRange& other = choice.ranges[k];
            require(range.end() < other.first || other.end() < range.first);
        }
    }
    require(total <= file_size);
    if (choice.ranges.size() > 1) require(total < file_size);
    // The answer depends on nothing else.
    const RangeChoice again = choose_ranges(header, file_size, limit);
    require(again.kind == choice.kind && again.ranges == choice.ranges);
    return 0;
}
