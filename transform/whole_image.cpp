#include "transform/whole_image.h"

#include "conf/ascii.h"
#include "transform/image_walk.h"
#include "transform/octets.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include <fmt/format.h>

namespace tidepool::transform {

namespace {

using namespace std::string_view_literals;

struct StructureCheck {
    std::string_view type;
    std::string_view (*walk)(std::string_view file, const OnImagePart& on_part);
};
constexpr std::array kStructureChecks{
    StructureCheck{"image/jpeg", walk_jpeg}, StructureCheck{"image/png", walk_png},
    StructureCheck{"image/gif", walk_gif},   StructureCheck{"image/webp", walk_webp},
    StructureCheck{"image/avif", walk_avif}, StructureCheck{"image/bmp", walk_bmp}};

// What browsers and servers that sniff take a file for a page by, lower case. "<?xpacket" and
// "<x:xmpmeta" are how metadata begins, and no image is refused for them.
constexpr std::array kPageStarts{"<!doctype html"sv, "<html"sv,   "<head"sv, "<body"sv,
                                 "<script"sv,        "<iframe"sv, "<svg"sv,  "<?php"sv};

bool begins_page(std::string_view text) {
    return std::ranges::any_of(kPageStarts, [text](std::string_view start) {
        return text.size() >= start.size() &&
               std::ranges::equal(start, text.substr(0, start.size()), {}, {},
                                  [](char c) { return conf::lower_case(c); });
    });
}

bool has_page_within(std::string_view beginning) {
    for (std::size_t at = beginning.find('<'); at != beginning.npos;
         at = beginning.find('<', at + 1)) {
        if (begins_page(beginning.substr(at))) return true;
    }
    return false;
}

// APPNOTE.TXT, 4.3.16: the record at `at` ends the file, and the directory that it tells of lies
// before it. Offsets count from where the archive begins, which need not be where the file does.
bool ends_zip(std::string_view file, std::size_t at) {
    constexpr std::size_t kRecord = 22;
    constexpr std::uint64_t kInZip64 = 0xFFFFFFFF;  // 4.4.1.4: the true number is elsewhere
    if (file.size() - at < kRecord) return false;
    if (little_number(file, at + 20, 2) != file.size() - at - kRecord) return false;
    const std::uint64_t size = little_number(file, at + 12, 4);
    const std::uint64_t offset = little_number(file, at + 16, 4);
    if (size == kInZip64 || offset == kInZip64) {
        constexpr std::size_t kLocator = 20;  // 4.3.15
        return at >= kLocator && file.substr(at - kLocator).starts_with("PK\x06\x07"sv);
    }
    return size <= at && offset <= at - size;
}

bool is_zip(std::string_view file) {
    constexpr std::string_view kRecordStart = "PK\x05\x06"sv;
    constexpr std::size_t kMostRecordBytes = 22 + 65'535;  // with its comment
    const std::size_t first = file.size() - std::min(file.size(), kMostRecordBytes);
    for (std::size_t at = file.find(kRecordStart, first); at != file.npos;
         at = file.find(kRecordStart, at + 1)) {
        if (ends_zip(file, at)) return true;
    }
    return false;
}

}  // namespace

Result<void> check_whole(std::span<const char> bytes, std::string_view type) {
    const auto check = std::ranges::find(kStructureChecks, type, &StructureCheck::type);
    if (check == kStructureChecks.end())
        return fail(ErrorKind::invalid, fmt::format("{} is no type of an image", type));
    const std::string_view wrong =
        check->walk({bytes.data(), bytes.size()}, [](const ImagePart&) {});
    if (!wrong.empty()) return fail(ErrorKind::corrupt, std::string(wrong));
    return {};
}

std::optional<std::string_view> other_format_within(std::span<const char> bytes) {
    constexpr std::size_t kBeginning = 1024;
    const std::string_view file(bytes.data(), bytes.size());
    const std::string_view beginning = file.substr(0, kBeginning);
    if (beginning.contains("%PDF-")) return "PDF";
    if (has_page_within(beginning)) return "HTML";
    if (is_zip(file)) return "ZIP";
    return std::nullopt;
}

}  // namespace tidepool::transform
