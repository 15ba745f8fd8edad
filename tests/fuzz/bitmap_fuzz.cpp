// A bitmap whose head is taken and whose rows are there can be read in every place, and gives the
// same pixels however it is read.
#include "tests/fuzz/check.h"
#include "transform/bitmap.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

using namespace tidepool::transform;
using tidepool::fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bitmap = Bitmap::open({reinterpret_cast<const char*>(data), size});
    if (!bitmap) return 0;
    check(bitmap->width() > 0 && bitmap->height() > 0);
    check(bitmap->bands() == 3 || bitmap->bands() == 4);
    if (!bitmap->is_complete()) return 0;
    // A row of one bit for each pixel is the longest that a file of this size can have.
    check(static_cast<std::size_t>(bitmap->width()) <= 8 * size);
    const auto bands = static_cast<std::size_t>(bitmap->bands());
    std::vector<std::uint8_t> row(static_cast<std::size_t>(bitmap->width()) * bands);
    std::vector<std::uint8_t> last(bands);
    for (int y = 0; y < std::min(bitmap->height(), 64); ++y) {
        bitmap->read(0, y, bitmap->width(), row.data());
        bitmap->read(bitmap->width() - 1, y, 1, last.data());
        check(std::equal(last.begin(), last.end(), row.end() - static_cast<std::ptrdiff_t>(bands)));
    }
    bitmap->read(0, bitmap->height() - 1, 1, last.data());
    return 0;
}
