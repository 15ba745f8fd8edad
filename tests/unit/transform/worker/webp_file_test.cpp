#include "transform/worker/webp_file.h"

#include <string>
#include <string_view>

#include <catch2/catch.hpp>

using tidepool::transform::drop_webp_metadata;

namespace {

std::string u32(std::size_t value) {
    std::string text;
    for (int i = 0; i < 4; ++i)
        text.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
    return text;
}

std::string chunk(std::string_view name, std::string_view content) {
    std::string text = std::string(name) + u32(content.size()) + std::string(content);
    if (content.size() % 2 != 0) text.push_back('\0');
    return text;
}

std::string extended(unsigned char flags) {
    return chunk("VP8X", std::string(1, static_cast<char>(flags)) + std::string(9, '\1'));
}

std::string file(const std::string& chunks) {
    return "RIFF" + u32(chunks.size() + 4) + "WEBP" + chunks;
}

std::string dropped(std::string text) {
    text.resize(drop_webp_metadata(text));
    return text;
}

}  // namespace

TEST_CASE("webp file: metadata goes, the rest stays in its order", "[transform]") {
    const std::string image = chunk("VP8 ", "pixels!");
    const std::string alpha = chunk("ALPH", "veil");
    const std::string frames = chunk("ANIM", "123456") + chunk("ANMF", "frame");
    const std::string noise = chunk("EXIF", "where") + chunk("XMP ", "who");
    CHECK(dropped(file(extended(0x0C) + image + noise)) == file(image));
    CHECK(dropped(file(extended(0x2C) + chunk("ICCP", "abc") + image + noise)) == file(image));
    CHECK(dropped(file(extended(0x1C) + alpha + image + noise)) ==
          file(extended(0x10) + alpha + image));
    CHECK(dropped(file(extended(0x0A) + frames + noise)) == file(extended(0x02) + frames));
}

TEST_CASE("webp file: what is of another form stays as it is", "[transform]") {
    const std::string plain = file(chunk("VP8 ", "the pixels of a small image"));
    CHECK(dropped(plain) == plain);
    const std::string whole = file(extended(0x0C) + chunk("VP8 ", "pixels") + chunk("EXIF", "a"));
    for (std::size_t length = 0; length < whole.size(); ++length) {
        CAPTURE(length);
        const std::string cut = whole.substr(0, length);
        // Cut between two chunks, it is a shorter file.
        if (dropped(cut) != cut) CHECK((length == 30 || length == 44));
    }
}
