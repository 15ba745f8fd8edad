// The expected texts were computed by a second implementation, in Python, written after the same
// description; f(x, y) is the pixel, lin and srgb the curves of sRGB, b83 the digits:
//
//   F = [[(1 if i == j == 0 else 2) / (w * h) *
//         sum(cos(pi*i*x/w) * cos(pi*j*y/h) * lin(f(x, y)[k]) for y in range(h) for x in range(w))
//         for k in range(3)] for j in range(cy) for i in range(cx)]
//   q = int(max(0, min(82, floor(max(abs(v) for c in F[1:] for v in c) * 166 - .5))))
//   step = lambda v: int(max(0, min(18, floor(copysign(sqrt(abs(v)), v) * 9 + 9.5))))
//   b83(cx - 1 + (cy - 1) * 9, 1) + b83(q, 1) + b83(srgb(F[0]), 4) +
//       "".join(b83(step(r) * 361 + step(g) * 19 + step(b), 2) for c in F[1:]), v / ((q + 1) / 166)
#include "transform/blur_hash.h"

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::transform;

namespace {

using Pixel = std::array<int, 3>;

std::string hash_of(int width, int height, const std::function<Pixel(int x, int y)>& pixel,
                    BlurHashDetail detail) {
    std::vector<std::uint8_t> pixels;
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            for (const int band : pixel(x, y))
                pixels.push_back(static_cast<std::uint8_t>(band));
        }
    }
    return blur_hash(pixels, width, height, detail);
}

Pixel slope(int x, int y) {
    return {8 * x, 10 * y, 255 - 8 * x};
}

}  // namespace

TEST_CASE("blur hash: the same as another implementation's", "[inspect][blur_hash]") {
    CHECK(hash_of(32, 24, slope, {4, 3}) == "L.H27=77w%XAmHWYjuf8gJfjfQfj");
    CHECK(hash_of(24, 32, [](int x, int y) { return Pixel{10 * x, 7 * y, 100}; }, {3, 4}) ==
          "ToF=sr2swxmGWDjtgJfjfQnlWpjt");
    CHECK(hash_of(4, 4, [](int, int) { return Pixel{200, 30, 60}; }, {4, 3}) ==
          "LlM^#R|yfQ|y|yw{fQw{fQfQfQfQ");
    const auto chess = [](int x, int y) {
        return (x / 4 + y / 4) % 2 == 0 ? Pixel{255, 255, 255} : Pixel{0, 0, 0};
    };
    CHECK(hash_of(8, 8, chess, {4, 3}) == "L,Lqe9%MfQ%M%M~q-;M{fQ-;xuRj");
    CHECK(hash_of(1, 1, [](int, int) { return Pixel{1, 2, 3}; }, {4, 3}) ==
          "L009m+tStStStStStStStStStStS");
    CHECK(hash_of(32, 24, slope, {1, 1}) == "00H27=");
    CHECK(hash_of(32, 24, slope, {9, 9}) ==
          "|.H27=77w%XAb0ogWsogWsmHWYjuf8fRf8fRf8fRgJfjfQfjfQfjfQfjfQn,WrjufRfRfRfRfRfRf7fQfQfQfQfQ"
          "fQfQfQofWrjufRfRfRfRfRfRe;fQfQfQfQfQfQfQfQofWrjufRfRfRfRfRfRe;fQfQfQfQfQfQfQfQ");
}

TEST_CASE("blur hash: its form is known", "[inspect][blur_hash]") {
    CHECK(is_blur_hash("L.H27=77w%XAmHWYjuf8gJfjfQfj"));
    CHECK(is_blur_hash("00H27="));
    CHECK_FALSE(is_blur_hash(""));
    CHECK_FALSE(is_blur_hash("00H27"));
    CHECK_FALSE(is_blur_hash("00H27=f"));
    CHECK_FALSE(is_blur_hash("L.H27=77w%XAmHWYjuf8gJfjfQf"));
    CHECK_FALSE(is_blur_hash("L.H27=77w%XAmHWYjuf8gJfjfQf\""));
    CHECK_FALSE(is_blur_hash("}.H27="));
}
