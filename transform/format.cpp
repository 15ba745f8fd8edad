#include "transform/format.h"

#include <array>

namespace tidepool::transform {

namespace {

struct Row {
    Format format;
    std::string_view name;
    std::string_view type;
    std::string_view extension;
};

// In the order of the enumerators. Each but "jpeg" is called as its extension.
constexpr std::array kFormats{
    Row{Format::webp, "webp", "image/webp", "webp"},
    Row{Format::avif, "avif", "image/avif", "avif"},
    Row{Format::jpeg, "jpeg", "image/jpeg", "jpg"},
    Row{Format::png, "png", "image/png", "png"},
    Row{Format::gif, "gif", "image/gif", "gif"},
    Row{Format::jxl, "jxl", "image/jxl", "jxl"},
};

std::optional<Format> find(std::string_view text, std::string_view Row::* member) {
    for (const Row& row : kFormats) {
        if (row.*member == text) return row.format;
    }
    return std::nullopt;
}

}  // namespace

std::string_view name_of(Format format) {
    return kFormats[static_cast<std::size_t>(format)].name;
}

std::string_view type_of(Format format) {
    return kFormats[static_cast<std::size_t>(format)].type;
}

std::string_view extension_of(Format format) {
    return kFormats[static_cast<std::size_t>(format)].extension;
}

std::optional<Format> format_named(std::string_view name) {
    return find(name, &Row::name);
}

std::optional<Format> format_of_type(std::string_view type) {
    return find(type, &Row::type);
}

std::optional<Format> format_of_extension(std::string_view extension) {
    if (const auto format = find(extension, &Row::extension)) return format;
    return extension == "jpeg" ? std::optional(Format::jpeg) : std::nullopt;
}

}  // namespace tidepool::transform
