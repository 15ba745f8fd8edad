// Whatever a file is, looking at its structure ends, and reads nothing beyond it; what is whole
// stays so where something is appended, and is of no other type. So does counting its pixels, which
// depend on nothing that is appended.
#include "tests/fuzz/check.h"
#include "transform/content_type.h"
#include "transform/pixel_count.h"
#include "transform/whole_image.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace tidepool;
using tidepool::fuzz::check;

namespace {

constexpr std::array<std::string_view, 6> kTypes{"image/jpeg", "image/png",  "image/gif",
                                                 "image/webp", "image/avif", "image/bmp"};

bool is_whole(std::string_view file, std::string_view type) {
    // In memory of its own, so that a sanitizer sees who reads beyond it.
    const std::vector<char> bytes(file.begin(), file.end());
    const auto checked = transform::check_whole(bytes, type);
    check(checked || checked.error().kind == ErrorKind::corrupt);
    check(checked || !checked.error().text.empty());
    return checked.has_value();
}

std::string lowered(std::string_view text) {
    std::string lower(text);
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return lower;
}

// By the words of whole_image.h, slowly.
bool is_page(std::string_view file) {
    const std::string beginning = lowered(file.substr(0, 1024));
    for (const std::string_view start :
         {"<!doctype html", "<html", "<head", "<body", "<script", "<iframe", "<svg", "<?php"}) {
        if (beginning.find(start) != std::string::npos) return true;
    }
    return false;
}

std::uint64_t pixel_count_of(std::string_view file) {
    unsigned reads = 0;
    const std::string beginning(file.substr(0, transform::kSniffBytes));
    return transform::pixel_count_of(beginning, [&](std::uint64_t offset, std::size_t count) {
        check(++reads < 1000);
        return std::string(file.substr(std::min<std::uint64_t>(offset, file.size()), count));
    });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view file(reinterpret_cast<const char*>(data), size);
    int types = 0;
    for (const std::string_view type : kTypes) {
        if (!is_whole(file, type)) continue;
        ++types;
        check(size >= 12);
        // An AVIF does not say where it ends: see whole_image.cpp.
        if (type != "image/avif") check(is_whole(std::string(file) + "appended", type));
        check(!is_whole(file.substr(0, 10), type));
    }
    check(types <= 1);
    check(!transform::check_whole(file, "image/svg+xml"));

    const std::uint64_t pixels = pixel_count_of(file);
    if (pixels != 0) check(pixel_count_of(std::string(file) + "appended") == pixels);

    const std::vector<char> bytes(file.begin(), file.end());
    const auto other = transform::other_format_within(bytes);
    const bool is_pdf = file.substr(0, 1024).find("%PDF-") != std::string_view::npos;
    check((other == "PDF") == is_pdf);
    if (!is_pdf) check((other == "HTML") == is_page(file));
    if (other == "ZIP") check(file.find("PK\x05\x06") != std::string_view::npos);
    return 0;
}
