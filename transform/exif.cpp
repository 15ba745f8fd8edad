#include "transform/exif.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace tidepool::transform {

namespace {

using namespace std::string_view_literals;

// Tags (CIPA DC-008-2023, 4.6).
constexpr unsigned kMake = 0x010F;
constexpr unsigned kModel = 0x0110;
constexpr unsigned kExifDirectory = 0x8769;
constexpr unsigned kGpsDirectory = 0x8825;
constexpr unsigned kDateTimeOriginal = 0x9003;
constexpr unsigned kLensModel = 0xA434;
constexpr unsigned kLatitudeRef = 1;
constexpr unsigned kLatitude = 2;
constexpr unsigned kLongitudeRef = 3;
constexpr unsigned kLongitude = 4;

// Types of values.
constexpr unsigned kAscii = 2;
constexpr unsigned kLong = 4;
constexpr unsigned kRational = 5;
constexpr unsigned kUtf8 = 129;

// A TIFF file's directories. All that it says of places is looked at before it is believed.
class Tiff {
  public:
    explicit Tiff(std::string_view bytes) : bytes_(bytes) {
        if (bytes_.starts_with("MM\0*"sv)) {
            is_big_endian_ = true;
        } else if (!bytes_.starts_with("II*\0"sv)) {
            bytes_ = "";
        }
    }

    // Where the first directory is; a place outside of the file where there is none.
    std::size_t first_directory() const { return number(4, 4); }

    std::string_view text(std::size_t directory, unsigned tag) const {
        const Value value = find(directory, tag);
        if (value.type != kAscii && value.type != kUtf8) return "";
        const std::string_view chars = stretch(value, 1);
        return chars.substr(0, chars.find('\0'));
    }

    // Another directory; a place outside of the file where there is none.
    std::size_t directory(std::size_t in, unsigned tag) const {
        const Value value = find(in, tag);
        return value.type == kLong && value.count == 1 ? number(value.at, 4) : bytes_.size();
    }

    // Degrees, minutes and seconds, as one number of degrees.
    std::optional<double> angle(std::size_t directory, unsigned tag) const {
        constexpr std::size_t kParts = 3;
        constexpr std::size_t kPartBytes = 8;
        const Value value = find(directory, tag);
        if (value.type != kRational || value.count != kParts) return std::nullopt;
        const std::string_view chars = stretch(value, kPartBytes);
        if (chars.empty()) return std::nullopt;
        const auto at = static_cast<std::size_t>(chars.data() - bytes_.data());
        double sum = 0;
        double worth = 1;
        for (std::size_t i = 0; i < kParts; ++i, worth /= 60) {
            const std::uint32_t numerator = number(at + kPartBytes * i, 4);
            const std::uint32_t denominator = number(at + kPartBytes * i + 4, 4);
            // 0/0 is how some say that they do not know the seconds.
            if (denominator == 0 && (numerator != 0 || i == 0)) return std::nullopt;
            if (denominator != 0) sum += worth * numerator / denominator;
        }
        return sum;
    }

  private:
    struct Value {
        unsigned type = 0;  // 0: there is none
        std::size_t count = 0;
        std::size_t at = 0;  // of the entry's own four bytes
    };

    // 0 outside of the file.
    std::uint32_t number(std::size_t at, std::size_t size) const {
        if (at > bytes_.size() || bytes_.size() - at < size) return 0;
        std::uint32_t value = 0;
        for (std::size_t i = 0; i < size; ++i) {
            const std::size_t each = is_big_endian_ ? i : size - 1 - i;
            value = value << 8U | static_cast<unsigned char>(bytes_[at + each]);
        }
        return value;
    }

    Value find(std::size_t directory, unsigned tag) const {
        constexpr std::size_t kEntryBytes = 12;
        if (directory == 0) return {};
        const std::size_t entries = number(directory, 2);
        for (std::size_t i = 0; i < entries; ++i) {
            const std::size_t entry = directory + 2 + kEntryBytes * i;
            if (entry + kEntryBytes > bytes_.size()) return {};
            if (number(entry, 2) == tag)
                return {number(entry + 2, 2), number(entry + 4, 4), entry + 8};
        }
        return {};
    }

    // The value's bytes: in the entry where they fit there. "" where they leave the file.
    std::string_view stretch(const Value& value, std::size_t item_bytes) const {
        const std::size_t length = value.count * item_bytes;
        const std::size_t at = length <= 4 ? value.at : number(value.at, 4);
        if (at > bytes_.size() || bytes_.size() - at < length) return "";
        return bytes_.substr(at, length);
    }

    std::string_view bytes_;
    bool is_big_endian_ = false;
};

// "2026:02:25 13:14:15", as EXIF has it.
std::string time_of(std::string_view text) {
    constexpr std::size_t kLength = 19;
    std::string time(text.substr(0, kLength));
    if (time.size() < kLength || time[4] != ':' || time[7] != ':' || time[10] != ' ') return "";
    time[4] = time[7] = '-';
    time[10] = 'T';
    return is_exif_time(time) ? time : "";
}

std::optional<GeoPosition> position_of(const Tiff& tiff, std::size_t directory) {
    const std::string_view north = tiff.text(directory, kLatitudeRef);
    const std::string_view east = tiff.text(directory, kLongitudeRef);
    const auto latitude = tiff.angle(directory, kLatitude);
    const auto longitude = tiff.angle(directory, kLongitude);
    const bool is_known =
        (north == "N" || north == "S") && (east == "E" || east == "W") && latitude && longitude;
    if (!is_known) return std::nullopt;
    const GeoPosition position{north == "N" ? *latitude : -*latitude,
                               east == "E" ? *longitude : -*longitude};
    if (!is_on_earth(position)) return std::nullopt;
    return position;
}

}  // namespace

Exif read_exif(std::span<const char> bytes) {
    constexpr std::string_view kPrefix = "Exif\0\0"sv;
    std::string_view file(bytes.data(), bytes.size());
    if (file.starts_with(kPrefix)) file.remove_prefix(kPrefix.size());
    const Tiff tiff(file);
    const std::size_t first = tiff.first_directory();
    const std::size_t details = tiff.directory(first, kExifDirectory);
    return {tiff.text(first, kMake), tiff.text(first, kModel), tiff.text(details, kLensModel),
            time_of(tiff.text(details, kDateTimeOriginal)),
            position_of(tiff, tiff.directory(first, kGpsDirectory))};
}

bool is_exif_time(std::string_view text) {
    constexpr std::string_view kForm = "0000-00-00T00:00:00";
    const auto fits = [](char form, char c) {
        return form == '0' ? c >= '0' && c <= '9' : c == form;
    };
    if (!std::ranges::equal(kForm, text, fits)) return false;
    const auto number = [text](std::size_t at, std::size_t length) {
        unsigned value = 0;
        for (const char digit : text.substr(at, length))
            value = 10 * value + static_cast<unsigned>(digit - '0');
        return value;
    };
    const std::chrono::year_month_day day{std::chrono::year(static_cast<int>(number(0, 4))),
                                          std::chrono::month(number(5, 2)),
                                          std::chrono::day(number(8, 2))};
    return number(0, 4) > 0 && day.ok() && number(11, 2) < 24 && number(14, 2) < 60 &&
           number(17, 2) < 60;
}

bool is_on_earth(const GeoPosition& position) {
    return std::abs(position.latitude) <= 90 && std::abs(position.longitude) <= 180;
}

}  // namespace tidepool::transform
