// The little that is kept of a photograph's EXIF data (CIPA DC-008; it is a TIFF file of its own).
// Pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tidepool::transform {

// In degrees; north and east are positive.
struct GeoPosition {
    double latitude = 0;
    double longitude = 0;
};

struct Exif {
    // As they stand in the file, whose author may have put anything there; "" where it says
    // nothing.
    std::string_view make;
    std::string_view model;
    std::string_view lens;
    std::string taken;  // DateTimeOriginal, see is_exif_time
    std::optional<GeoPosition> position;
};

// With or without the "Exif\0\0" that stands before it in JPEGs. What is broken is left out. The
// bytes must outlive the texts.
Exif read_exif(std::span<const char> bytes);

// "2026-02-25T13:14:15", of a day that there is. By the camera's clock, which is of no known zone.
bool is_exif_time(std::string_view text);
// True of a place on earth; of no number that is none.
bool is_on_earth(const GeoPosition& position);

}  // namespace tidepool::transform
