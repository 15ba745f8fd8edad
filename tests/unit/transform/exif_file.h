// EXIF data for tests, as cameras write it and as they do not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidepool::test {

struct ExifEntry {
    unsigned tag;
    unsigned type;
    std::uint32_t count;
    std::string value;
};

// Of the three directories that matter: the first one, that of the exposure, and that of GPS.
struct ExifFile {
    bool is_big_endian = true;
    std::vector<ExifEntry> first{};
    std::vector<ExifEntry> details{};
    std::vector<ExifEntry> gps{};

    std::string number(std::uint32_t value, std::size_t bytes) const {
        std::string text;
        for (std::size_t i = 0; i < bytes; ++i) {
            const std::size_t shift = 8 * (is_big_endian ? bytes - 1 - i : i);
            text.push_back(static_cast<char>(value >> shift & 0xFF));
        }
        return text;
    }
    static ExifEntry ascii(unsigned tag, std::string text) {
        text.push_back('\0');
        const auto count = static_cast<std::uint32_t>(text.size());
        return {tag, 2, count, std::move(text)};
    }
    ExifEntry rationals(unsigned tag, const std::vector<std::uint32_t>& numbers) const {
        ExifEntry entry{tag, 5, static_cast<std::uint32_t>(numbers.size() / 2), ""};
        for (const std::uint32_t each : numbers)
            entry.value += number(each, 4);
        return entry;
    }

    // Without "Exif\0\0".
    std::string tiff() const {
        constexpr std::size_t kHeader = 8;
        std::vector<ExifEntry> all = first;
        all.push_back({0x8769, 4, 1, "0000"});  // where the others are
        all.push_back({0x8825, 4, 1, "0000"});
        const std::size_t details_at = kHeader + size_of(all);
        const std::size_t gps_at = details_at + size_of(details);
        all[first.size()].value = number(static_cast<std::uint32_t>(details_at), 4);
        all[first.size() + 1].value = number(static_cast<std::uint32_t>(gps_at), 4);
        return (is_big_endian ? "MM" : "II") + number(42, 2) + number(kHeader, 4) +
               directory(kHeader, all) + directory(details_at, details) + directory(gps_at, gps);
    }

  private:
    static std::size_t size_of(const std::vector<ExifEntry>& entries) {
        std::size_t size = 2 + 12 * entries.size() + 4;
        for (const ExifEntry& entry : entries)
            size += entry.value.size() > 4 ? entry.value.size() : 0;
        return size;
    }
    std::string directory(std::size_t at, const std::vector<ExifEntry>& entries) const {
        std::string table = number(static_cast<std::uint32_t>(entries.size()), 2);
        std::string values;
        const std::size_t values_at = at + 2 + 12 * entries.size() + 4;
        for (const ExifEntry& entry : entries) {
            table += number(entry.tag, 2) + number(entry.type, 2) + number(entry.count, 4);
            if (entry.value.size() <= 4) {
                table += entry.value + std::string(4 - entry.value.size(), '\0');
            } else {
                table += number(static_cast<std::uint32_t>(values_at + values.size()), 4);
                values += entry.value;
            }
        }
        return table + number(0, 4) + values;
    }
};

// A JPEG with this as its first segment.
inline std::string with_exif(std::string_view jpeg, const std::string& tiff) {
    const std::string data = std::string("Exif\0\0", 6) + tiff;
    const std::size_t length = data.size() + 2;
    std::string segment = "\xFF\xE1";
    segment.push_back(static_cast<char>(length >> 8));
    segment.push_back(static_cast<char>(length & 0xFF));
    return std::string(jpeg.substr(0, 2)) + segment + data + std::string(jpeg.substr(2));
}

}  // namespace tidepool::test
