#include "transform/strip_metadata.h"

#include "transform/image_walk.h"
#include "transform/octets.h"
#include "transform/strip_avif.h"
#include "transform/stripped_output.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace tidepool::transform {

namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

// Exif that says nothing but an orientation: one directory of one entry (TIFF 6.0, section 2; Exif
// 2.32, 4.6.2), whose value is at kMinimalExifOrientation.
constexpr std::string_view kMinimalExif =
    "MM\0*\0\0\0\x08"
    "\0\x01"
    "\x01\x12\0\x03\0\0\0\x01\0\0\0\0"
    "\0\0\0\0"sv;
constexpr std::size_t kMinimalExifOrientation = 19;

// The orientation that Exif gives, 2 to 8; 1 where it gives none that means something. As browsers
// do, only a tag of the right kind counts, and only one in the first directory.
std::uint8_t orientation_in(std::string_view exif) {
    constexpr std::size_t kEntry = 12;
    // What is shorter than the shortest that is right is wrong; so none grows by being replaced.
    if (exif.size() < kMinimalExif.size()) return 1;
    const bool is_big = exif.starts_with("MM\0*"sv);
    if (!is_big && !exif.starts_with("II*\0"sv)) return 1;
    const auto number = is_big ? big_number : little_number;
    const std::uint64_t directory = number(exif, 4, 4);
    if (directory > exif.size() - 2) return 1;
    const std::uint64_t count = number(exif, directory, 2);
    std::size_t at = directory + 2;
    for (std::uint64_t i = 0; i < count && exif.size() - at >= kEntry; ++i, at += kEntry) {
        constexpr std::uint64_t kOrientation = 0x0112;
        constexpr std::uint64_t kShort = 3;
        if (number(exif, at, 2) != kOrientation) continue;
        if (number(exif, at + 2, 2) != kShort || number(exif, at + 4, 4) != 1) return 1;
        const std::uint64_t value = number(exif, at + 8, 2);
        return value >= 1 && value <= 8 ? static_cast<std::uint8_t>(value) : 1;
    }
    return 1;
}

std::string minimal_exif(std::uint8_t orientation) {
    std::string exif(kMinimalExif);
    exif[kMinimalExifOrientation] = static_cast<char>(orientation);
    return exif;
}

// A file's first Exif is the one that counts; this gives what to put in its place, and "" where
// nothing is to be kept of it, and for all others.
class ExifKeeper {
  public:
    std::string replacement(std::string_view exif) {
        if (has_seen_) return "";
        has_seen_ = true;
        const std::uint8_t orientation = orientation_in(exif);
        return orientation == 1 ? "" : minimal_exif(orientation);
    }

  private:
    bool has_seen_ = false;
};

// Application segments that have to do with how a JPEG is shown (JFIF 1.02; ICC.1:2010, B.4; Adobe
// technical note 5116). A JFXX segment is but a thumbnail.
constexpr std::string_view kJfif = "JFIF\0"sv;
constexpr std::string_view kJpegProfile = "ICC_PROFILE\0"sv;
constexpr std::string_view kAdobe = "Adobe"sv;
constexpr std::string_view kJpegExif = "Exif\0"sv;  // and a byte that is 0 or not

bool is_kept_in_jpeg(const ImagePart& part) {
    const std::uint8_t marker = octet_at(part.name, 0);
    if (marker == 0xE0) return part.content.starts_with(kJfif);
    if (marker == 0xE2) return part.content.starts_with(kJpegProfile);
    if (marker == 0xEE) return part.content.starts_with(kAdobe);
    const bool is_application = marker >= 0xE0 && marker <= 0xEF;
    return !is_application && marker != 0xFE;  // COM
}

void append_jpeg_segment(StrippedOutput& out, std::uint8_t marker, std::string_view content) {
    out.append_big(0xFF00U | marker, 2);
    out.append_big(content.size() + 2, 2);
    out.append(content);
}

std::string_view strip_jpeg(std::string_view file, StrippedOutput& out) {
    constexpr std::size_t kJfifHead = 14;  // two bytes of which are the thumbnail's size
    ExifKeeper keeper;
    return walk_jpeg(file, [&](const ImagePart& part) {
        if (part.name == "\xE0" && part.content.starts_with(kJfif) &&
            part.content.size() > kJfifHead) {
            std::string head(part.content.substr(0, kJfifHead - 2));
            append_jpeg_segment(out, 0xE0, head.append(2, '\0'));
        } else if (part.name == "\xE1" && part.content.starts_with(kJpegExif)) {
            const auto exif =
                part.content.substr(std::min(part.content.size(), kJpegExif.size() + 1));
            const std::string kept = keeper.replacement(exif);
            if (!kept.empty()) append_jpeg_segment(out, 0xE1, "Exif\0\0"s + kept);
        } else if (is_kept_in_jpeg(part)) {
            out.append(part.bytes);
        }
    });
}

// Texts, a time, and signatures, which name the signer and are void once anything is taken out.
constexpr std::array kPersonalPngChunks{"tEXt"sv, "zTXt"sv, "iTXt"sv, "tIME"sv, "dSIG"sv, "caBX"sv};

std::string_view strip_png(std::string_view file, StrippedOutput& out) {
    ExifKeeper keeper;
    return walk_png(file, [&](const ImagePart& part) {
        if (part.name == "eXIf") {
            const std::string kept = keeper.replacement(part.content);
            if (kept.empty()) return;
            out.append_big(kept.size(), 4);
            out.append("eXIf" + kept);
            out.append_big(png_checksum("eXIf" + kept), 4);
        } else if (std::ranges::find(kPersonalPngChunks, part.name) == kPersonalPngChunks.end()) {
            out.append(part.bytes);
        }
    });
}

// Application extensions that say how often a GIF moves, and which colours it has. The first byte
// is the length of the name.
constexpr std::array kGifApplications{"\x0BNETSCAPE2.0"sv,
                                      "\x0B"
                                      "ANIMEXTS1.0"sv,
                                      "\x0BICCRGBG1012"sv};

bool is_kept_in_gif(const ImagePart& part) {
    if (!part.name.starts_with('!')) return true;
    switch (octet_at(part.name, 1)) {
        case 0x01:  // plain text, that is drawn
        case 0xF9:  // graphic control
            return true;
        case 0xFF:
            return std::ranges::any_of(kGifApplications, [&](std::string_view application) {
                return part.content.starts_with(application);
            });
        default:  // comments, and what nobody knows
            return false;
    }
}

std::string_view strip_gif(std::string_view file, StrippedOutput& out) {
    return walk_gif(file, [&](const ImagePart& part) {
        if (is_kept_in_gif(part)) out.append(part.bytes);
    });
}

// RFC 9649, 2.7. Other chunks are for readers to skip.
constexpr std::array kWebpChunks{"VP8X"sv, "VP8 "sv, "VP8L"sv, "ALPH"sv,
                                 "ANIM"sv, "ANMF"sv, "ICCP"sv};
constexpr unsigned kWebpExifFlag = 0x08;
constexpr unsigned kWebpXmpFlag = 0x04;

// What a WebP's head says of what follows.
struct WebpHead {
    std::uint64_t bytes = 0;  // of the whole file
    bool has_exif = false;
};

// Has the head say that, and puts into it what it should have said.
std::string_view write_webp(std::string_view file, WebpHead& head, StrippedOutput& out) {
    constexpr std::size_t kChunkHead = 8;
    const WebpHead said = head;
    ExifKeeper keeper;
    bool has_flags = false;
    unsigned flags = 0;
    head.has_exif = false;
    const std::string_view wrong = walk_webp(file, [&](const ImagePart& part) {
        if (part.name == "RIFF head") {
            out.append("RIFF");
            out.append_little(said.bytes - 8, 4);
            out.append("WEBP");
        } else if (part.name == "VP8X" && !has_flags && !part.content.empty()) {
            has_flags = true;
            flags = octet_at(part.content, 0);
            out.append(part.bytes.substr(0, kChunkHead));
            const unsigned others = flags & ~(kWebpExifFlag | kWebpXmpFlag);
            out.append_big(said.has_exif ? others | kWebpExifFlag : others, 1);
            out.append(part.bytes.substr(kChunkHead + 1));
        } else if (part.name == "EXIF") {
            // Without the flag readers take no notice of it. Some files have the prefix of JPEG.
            if ((flags & kWebpExifFlag) == 0) return;
            const bool has_prefix = part.content.starts_with("Exif\0\0"sv);
            const std::string kept = keeper.replacement(part.content.substr(has_prefix ? 6 : 0));
            if (kept.empty()) return;
            head.has_exif = true;
            out.append("EXIF");
            out.append_little(kept.size(), 4);
            out.append(kept);
        } else if (std::ranges::find(kWebpChunks, part.name) != kWebpChunks.end()) {
            out.append(part.bytes);
        }
    });
    head.bytes = out.size();
    return wrong;
}

std::string_view strip_webp(std::string_view file, StrippedOutput& out) {
    WebpHead head;
    StrippedOutput nowhere([](std::string_view) {});
    const std::string_view wrong = write_webp(file, head, nowhere);
    return wrong.empty() ? write_webp(file, head, out) : wrong;
}

// There is no place for metadata in it; a profile that some have stands behind the pixels.
std::string_view strip_bmp(std::string_view file, StrippedOutput& out) {
    return walk_bmp(file, [&](const ImagePart& part) { out.append(part.bytes); });
}

struct Stripper {
    std::string_view type;
    // What is wrong, or "".
    std::string_view (*strip)(std::string_view file, StrippedOutput& out);
};
constexpr std::array kStrippers{
    Stripper{"image/jpeg", strip_jpeg}, Stripper{"image/png", strip_png},
    Stripper{"image/gif", strip_gif},   Stripper{"image/webp", strip_webp},
    Stripper{"image/avif", strip_avif}, Stripper{"image/bmp", strip_bmp}};

}  // namespace

Result<bool> has_personal_metadata(std::span<const char> bytes, std::string_view type) {
    const auto stripper = std::ranges::find(kStrippers, type, &Stripper::type);
    if (stripper == kStrippers.end())
        return fail(ErrorKind::invalid, fmt::format("{} is no type of an image", type));
    const std::string_view file(bytes.data(), bytes.size());
    std::size_t same = 0;  // of the file, from its beginning
    bool is_same = true;
    StrippedOutput out([&](std::string_view part) {
        is_same = is_same && file.substr(same, part.size()) == part;
        same += part.size();
    });
    const std::string_view wrong = stripper->strip(file, out);
    if (!wrong.empty()) return fail(ErrorKind::corrupt, std::string(wrong));
    out.flush();
    return !is_same || same != file.size();
}

void strip_personal_metadata(std::span<const char> bytes, std::string_view type,
                             StrippedOutput::Sink sink) {
    const auto stripper = std::ranges::find(kStrippers, type, &Stripper::type);
    StrippedOutput out(std::move(sink));
    stripper->strip({bytes.data(), bytes.size()}, out);
    out.flush();
}

}  // namespace tidepool::transform
