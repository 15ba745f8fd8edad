#include "transform/content_type.h"

#include "conf/ascii.h"

#include <algorithm>
#include <array>
#include <utility>

namespace tidepool::transform {

namespace {

using namespace std::string_view_literals;

struct Magic {
    std::size_t offset;
    std::string_view bytes;
    std::string_view type;
};

constexpr std::array kMagics{
    Magic{0, "\xFF\xD8\xFF"sv, "image/jpeg"},
    Magic{0, "\x89PNG\r\n\x1A\n"sv, "image/png"},
    Magic{0, "GIF87a"sv, "image/gif"},
    Magic{0, "GIF89a"sv, "image/gif"},
    Magic{0, "\xFF\x0A"sv, "image/jxl"},
    Magic{0, "\0\0\0\x0CJXL \r\n\x87\n"sv, "image/jxl"},
    Magic{0, "II*\0"sv, "image/tiff"},
    Magic{0, "MM\0*"sv, "image/tiff"},
    Magic{0, "\0\0\x01\0"sv, "image/x-icon"},
    Magic{0, "%PDF-"sv, "application/pdf"},
    Magic{0, "\x1A\x45\xDF\xA3"sv, "video/webm"},
    Magic{0, "PK\x03\x04"sv, "application/zip"},
    Magic{0, "\x1F\x8B"sv, "application/gzip"},
};

// ISO base media files name their kind in the "ftyp" box: a major brand, then compatible ones.
constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kBrands{{
    {"avif", "image/avif"},
    {"avis", "image/avif"},
    {"heic", "image/heic"},
    {"heix", "image/heic"},
    {"heim", "image/heic"},
    {"heis", "image/heic"},
    {"hevc", "image/heic"},
    {"hevx", "image/heic"},
    {"isom", "video/mp4"},
    {"iso2", "video/mp4"},
    {"mp41", "video/mp4"},
    {"mp42", "video/mp4"},
}};

// Tags that make a browser take a file for HTML (WHATWG MIME Sniffing, 7.1), lower case.
constexpr std::array kHtmlTags{
    "!doctype html"sv, "html"sv, "head"sv,   "script"sv, "iframe"sv, "h1"sv,   "div"sv, "font"sv,
    "table"sv,         "a"sv,    "style"sv,  "title"sv,  "b"sv,      "body"sv, "br"sv,  "p"sv,
    "img"sv,           "form"sv, "object"sv, "embed"sv,  "meta"sv,   "link"sv, "svg"sv};

constexpr std::array<std::pair<std::string_view, std::string_view>, 24> kExtensions{{
    {"jpg", "image/jpeg"},   {"jpeg", "image/jpeg"},     {"png", "image/png"},
    {"gif", "image/gif"},    {"webp", "image/webp"},     {"avif", "image/avif"},
    {"bmp", "image/bmp"},    {"jxl", "image/jxl"},       {"heic", "image/heic"},
    {"heif", "image/heic"},  {"tif", "image/tiff"},      {"tiff", "image/tiff"},
    {"ico", "image/x-icon"}, {"svg", "image/svg+xml"},   {"html", "text/html"},
    {"htm", "text/html"},    {"xml", "application/xml"}, {"pdf", "application/pdf"},
    {"mp4", "video/mp4"},    {"webm", "video/webm"},     {"txt", "text/plain"},
    {"css", "text/css"},     {"js", "text/javascript"},  {"json", "application/json"},
}};

bool starts_with_ignoring_case(std::string_view text, std::string_view lower_case) {
    return text.size() >= lower_case.size() &&
           std::equal(lower_case.begin(), lower_case.end(), text.begin(),
                      [](char wanted, char c) { return wanted == conf::lower_case(c); });
}

bool is_tag_end(std::string_view text, std::size_t at) {
    return at >= text.size() || text[at] == '>' || text[at] == ' ' || text[at] == '/' ||
           text[at] == '\t' || text[at] == '\n' || text[at] == '\r' || text[at] == '\f';
}

std::string_view skip_blanks(std::string_view text) {
    const std::size_t start = text.find_first_not_of(" \t\r\n\f");
    return start == std::string_view::npos ? std::string_view() : text.substr(start);
}

bool contains_svg_element(std::string_view text) {
    for (std::size_t at = text.find('<'); at != std::string_view::npos;
         at = text.find('<', at + 1)) {
        if (starts_with_ignoring_case(text.substr(at + 1), "svg") && is_tag_end(text, at + 4))
            return true;
    }
    return false;
}

// Markup: HTML, SVG or other XML. "" where it is none.
std::string_view markup_type(std::string_view text) {
    if (text.starts_with("\xFE\xFF"sv) || text.starts_with("\xFF\xFE"sv)) {
        // UTF-16: browsers decode it, so take any angle bracket near the start for active content.
        return text.substr(0, 64).find('<') != std::string_view::npos ? "text/html"sv : ""sv;
    }
    if (text.starts_with("\xEF\xBB\xBF"sv)) text.remove_prefix(3);
    text = skip_blanks(text);
    while (text.starts_with("<!--"sv)) {
        const std::size_t end = text.find("-->"sv, 4);
        if (end == std::string_view::npos) return "text/html";
        text = skip_blanks(text.substr(end + 3));
    }
    if (text.empty() || text.front() != '<') return "";
    if (starts_with_ignoring_case(text, "<?xml") ||
        starts_with_ignoring_case(text, "<!doctype svg")) {
        return contains_svg_element(text) ? "image/svg+xml"sv : "application/xml"sv;
    }
    for (const std::string_view tag : kHtmlTags) {
        if (starts_with_ignoring_case(text.substr(1), tag) && is_tag_end(text, 1 + tag.size())) {
            return tag == "svg" ? "image/svg+xml"sv : "text/html"sv;
        }
    }
    return "";
}

std::string_view iso_media_type(std::string_view bytes) {
    if (bytes.size() < 16 || bytes.substr(4, 4) != "ftyp") return "";
    const auto box_bytes = static_cast<std::size_t>(static_cast<unsigned char>(bytes[2]) * 256 +
                                                    static_cast<unsigned char>(bytes[3]));
    const std::size_t end = std::min(box_bytes, bytes.size());
    for (std::size_t at = 8; at + 4 <= end;
         at += at == 8 ? 8U : 4U) {  // the minor version stands behind the first
        for (const auto& [brand, type] : kBrands) {
            if (bytes.substr(at, 4) == brand) return type;
        }
    }
    return "";
}

bool is_bitmap(std::string_view bytes) {
    // "BM" alone begins too many texts: the size of the info header must be one that exists.
    if (bytes.size() < 18 || !bytes.starts_with("BM")) return false;
    static constexpr std::array<unsigned char, 7> kHeaderSizes{12, 40, 52, 56, 64, 108, 124};
    const auto header = static_cast<unsigned char>(bytes[14]);
    return bytes[15] == 0 && bytes[16] == 0 && bytes[17] == 0 &&
           std::find(kHeaderSizes.begin(), kHeaderSizes.end(), header) != kHeaderSizes.end();
}

bool is_plain_text(std::string_view bytes) {
    return std::none_of(bytes.begin(), bytes.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f') || byte == 0x7F;
    });
}

}  // namespace

std::string_view content_type_of(std::span<const char> beginning) {
    const std::string_view bytes(beginning.data(), std::min(beginning.size(), kSniffBytes));
    for (const Magic& magic : kMagics) {
        if (bytes.size() >= magic.offset && bytes.substr(magic.offset).starts_with(magic.bytes))
            return magic.type;
    }
    if (bytes.starts_with("RIFF"sv) && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP")
        return "image/webp";
    if (is_bitmap(bytes)) return "image/bmp";
    if (const std::string_view type = iso_media_type(bytes); !type.empty()) return type;
    if (const std::string_view type = markup_type(bytes); !type.empty()) return type;
    return kUnknownType;
}

std::string_view content_type_by_name(std::string_view name) {
    const std::size_t dot = name.rfind('.');
    if (dot == std::string_view::npos) return "";
    const std::string_view extension = name.substr(dot + 1);
    for (const auto& [known, type] : kExtensions) {
        if (extension.size() == known.size() && starts_with_ignoring_case(extension, known))
            return type;
    }
    return "";
}

ContentLook look_at(std::span<const char> beginning) {
    const std::string_view bytes(beginning.data(), std::min(beginning.size(), kSniffBytes));
    return {content_type_of(beginning), is_plain_text(bytes)};
}

std::string_view served_type(const ContentLook& look, std::string_view name) {
    if (look.shown != kUnknownType) return look.shown;
    const std::string_view claimed = content_type_by_name(name);
    const bool text_claimed = claimed.starts_with("text/") || claimed == "application/json" ||
                              claimed == "application/xml" || claimed == "image/svg+xml";
    return text_claimed && look.plain_text ? claimed : kUnknownType;
}

bool is_active_content(std::string_view type) {
    return type == "image/svg+xml" || type == "text/html" || type == "application/xml" ||
           type == "text/javascript" || type == "application/pdf";
}

bool type_matches(std::string_view type, std::string_view pattern) {
    if (pattern == "*" || pattern == type) return true;
    return pattern.ends_with("/*") && type.starts_with(pattern.substr(0, pattern.size() - 1));
}

}  // namespace tidepool::transform
