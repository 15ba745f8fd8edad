#include "transform/stripped_output.h"

#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

using tidepool::transform::StrippedOutput;

TEST_CASE("stripped output: pieces come in their order, small ones together",
          "[transform][strip]") {
    constexpr std::size_t kLeast = 64 << 10;
    std::vector<std::string> pieces;
    StrippedOutput out([&](std::string_view piece) { pieces.emplace_back(piece); });
    std::string all;
    const auto append = [&](std::size_t size, char byte) {
        const std::string piece(size, byte);
        out.append(piece);
        all += piece;
    };
    append(0, 'a');
    append(10, 'b');
    append(kLeast - 11, 'c');
    CHECK(pieces.empty());
    append(1, 'd');
    CHECK(pieces.size() == 1);
    append(kLeast, 'e');
    CHECK(pieces.size() == 3);
    append(3 * kLeast, 'f');
    append(1, 'g');
    CHECK(pieces.size() == 4);
    out.append_big(0x01020304, 2);
    out.append_little(0x01020304, 3);
    all += "\x03\x04\x04\x03\x02";
    CHECK(out.size() == all.size());
    out.flush();
    out.flush();
    CHECK(pieces.size() == 5);
    std::string joined;
    for (const std::string& piece : pieces)
        joined += piece;
    CHECK((joined == all));
}
