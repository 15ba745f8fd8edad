#include "tests/unit/transform/gallery.h"

#include <cmath>

namespace tidepool::test {

namespace {

void put_u32(std::string& to, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8)
        to.push_back(static_cast<char>(value >> shift & 0xFF));
}

void put_fixed(std::string& to, double value) {
    put_u32(to, static_cast<std::uint32_t>(static_cast<std::int32_t>(std::lround(value * 65536))));
}

std::string xyz(const double (&values)[3]) {
    std::string tag("XYZ \0\0\0\0", 8);
    for (const double value : values)
        put_fixed(tag, value);
    return tag;
}

std::string gamma_curve(double gamma) {
    std::string tag("curv\0\0\0\0", 8);
    put_u32(tag, 1);
    const auto fixed = static_cast<unsigned>(std::lround(gamma * 256));
    tag.push_back(static_cast<char>(fixed >> 8));
    tag.push_back(static_cast<char>(fixed & 0xFF));
    tag.append(2, '\0');
    return tag;
}

std::string text(std::string_view words) {
    std::string tag("text\0\0\0\0", 8);
    tag += words;
    tag.append(4 - tag.size() % 4, '\0');
    return tag;
}

std::string description(std::string_view words) {
    std::string tag("desc\0\0\0\0", 8);
    put_u32(tag, static_cast<std::uint32_t>(words.size() + 1));
    tag += words;
    tag.append(1 + 4 + 4 + 2 + 1 + 67, '\0');  // no Unicode, no script
    tag.append((4 - tag.size() % 4) % 4, '\0');
    return tag;
}

constexpr double kD50[3] = {0.9642, 1.0, 0.8249};
using Tag = std::pair<std::string_view, std::string>;

// `space` is the name of the file's colours.
std::string profile_of(std::string_view space, std::span<const Tag> tags) {
    std::string table;
    std::string data;
    put_u32(table, static_cast<std::uint32_t>(tags.size()));
    const auto data_start = static_cast<std::uint32_t>(128 + 4 + 12 * tags.size());
    for (const auto& [name, tag] : tags) {
        table += name;
        put_u32(table, data_start + static_cast<std::uint32_t>(data.size()));
        put_u32(table, static_cast<std::uint32_t>(tag.size()));
        data += tag;
    }
    std::string head;
    put_u32(head, static_cast<std::uint32_t>(128 + table.size() + data.size()));
    head.append(4, '\0');
    put_u32(head, 0x02100000);  // version 2.1
    head += "mntr";
    head += space;
    head += "XYZ ";
    head.append(12, '\0');  // when it was made
    head += "acsp";
    head.append(28, '\0');
    for (const double value : kD50)
        put_fixed(head, value);
    head.append(128 - head.size(), '\0');
    return head + table + data;
}

}  // namespace

std::string icc_profile(const Primaries& primaries) {
    const std::string curve = gamma_curve(primaries.gamma);
    const Tag tags[] = {
        {"desc", description("test")},
        {"cprt", text("none")},
        {"wtpt", xyz(kD50)},
        {"rXYZ", xyz(primaries.red)},
        {"gXYZ", xyz(primaries.green)},
        {"bXYZ", xyz(primaries.blue)},
        {"rTRC", curve},
        {"gTRC", curve},
        {"bTRC", curve},
    };
    return profile_of("RGB ", tags);
}

std::string grey_icc_profile(double gamma) {
    const Tag tags[] = {{"desc", description("test")},
                        {"cprt", text("none")},
                        {"wtpt", xyz(kD50)},
                        {"kTRC", gamma_curve(gamma)}};
    return profile_of("GRAY", tags);
}

}  // namespace tidepool::test
