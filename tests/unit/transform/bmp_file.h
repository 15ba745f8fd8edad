// BMP files for tests, good and bad.
#pragma once

#include "tests/unit/transform/file_parts.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace tidepool::test {

// BITMAPFILEHEADER and BITMAPINFOHEADER.
struct BmpForm {
    int width;
    int height;  // negative: the first row is the top one
    unsigned bits = 24;
    std::uint32_t compression = 0;
    std::string behind_header{};  // masks, or a palette
    std::size_t header_bytes = 40;
};

inline std::string bmp(const BmpForm& form, const std::string& pixels) {
    const std::size_t offset = 14 + 40 + form.behind_header.size();
    return "BM" + little(static_cast<std::uint32_t>(offset + pixels.size()), 4) + little(0, 4) +
           little(static_cast<std::uint32_t>(offset), 4) +
           little(static_cast<std::uint32_t>(form.header_bytes), 4) +
           little(static_cast<std::uint32_t>(form.width), 4) +
           little(static_cast<std::uint32_t>(form.height), 4) + little(1, 2) +
           little(form.bits, 2) + little(form.compression, 4) + std::string(20, '\0') +
           form.behind_header + pixels;
}

}  // namespace tidepool::test
