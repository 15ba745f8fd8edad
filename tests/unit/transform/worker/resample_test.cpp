#include "transform/worker/resample.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::transform;

namespace {

using Rows = std::vector<std::uint8_t>;

Rows resampled(const Rows& in, const Resampling& sizes, bool plain) {
    use_plain_resampling(plain);
    Resampler resampler(sizes);
    use_plain_resampling(false);
    const auto in_bytes = static_cast<std::size_t>(sizes.in_width * sizes.bands);
    const auto out_bytes = static_cast<std::size_t>(sizes.out_width * sizes.bands);
    Rows out;
    Rows row(out_bytes);
    for (int y = 0; y < sizes.in_height; ++y) {
        // Of its own, so that a reader beyond it is found.
        const Rows pushed(in.begin() + static_cast<std::ptrdiff_t>(in_bytes) * y,
                          in.begin() + static_cast<std::ptrdiff_t>(in_bytes) * (y + 1));
        resampler.push(pushed.data());
        while (resampler.pull(row.data()))
            out.insert(out.end(), row.begin(), row.end());
    }
    CHECK_FALSE(resampler.pull(row.data()));
    return out;
}

Rows noise(const Resampling& sizes, unsigned seed) {
    std::mt19937 random(seed);
    Rows bytes(static_cast<std::size_t>(sizes.in_width) *
               static_cast<std::size_t>(sizes.in_height) * static_cast<std::size_t>(sizes.bands));
    // Runs of black and white overshoot most.
    for (auto& byte : bytes) {
        const auto drawn = static_cast<unsigned>(random());
        byte = static_cast<std::uint8_t>((drawn & 0x300) == 0 ? drawn : (drawn & 1) * 255);
    }
    return bytes;
}

double kernel(double x) {
    if (std::abs(x) < 1e-12) return 1;
    if (std::abs(x) >= 3) return 0;
    const double angle = std::numbers::pi * x;
    return std::sin(angle) / angle * std::sin(angle / 3) / (angle / 3);
}

// One pixel as the textbook has it: both directions at once, in floating point.
double reference(const Rows& in, const Resampling& sizes, int x, int y, int band) {
    const double across = static_cast<double>(sizes.in_width) / sizes.out_width;
    const double down = static_cast<double>(sizes.in_height) / sizes.out_height;
    const double centre_x = (x + 0.5) * across - 0.5;
    const double centre_y = (y + 0.5) * down - 0.5;
    double sum = 0;
    double weights = 0;
    for (int j = static_cast<int>(centre_y - 3 * down) - 1; j <= centre_y + 3 * down + 1; ++j) {
        for (int i = static_cast<int>(centre_x - 3 * across) - 1; i <= centre_x + 3 * across + 1;
             ++i) {
            const double weight = kernel((i - centre_x) / across) * kernel((j - centre_y) / down);
            const int at_x = std::clamp(i, 0, sizes.in_width - 1);
            const int at_y = std::clamp(j, 0, sizes.in_height - 1);
            weights += weight;
            sum +=
                weight *
                in[static_cast<std::size_t>((at_y * sizes.in_width + at_x) * sizes.bands + band)];
        }
    }
    return std::clamp(sum / weights, 0.0, 255.0);
}

constexpr Resampling kSizes[] = {
    {64, 48, 32, 24, 3},  {101, 67, 40, 29, 3}, {101, 67, 40, 29, 1},  {101, 67, 40, 29, 4},
    {300, 200, 13, 9, 3}, {50, 50, 50, 20, 3},  {50, 50, 17, 50, 4},   {7, 5, 3, 2, 3},
    {1, 40, 1, 11, 3},    {40, 1, 11, 1, 1},    {3, 3, 1, 1, 4},       {30, 30, 30, 30, 3},
    {33, 33, 32, 32, 1},  {517, 31, 16, 2, 4},  {257, 130, 129, 65, 3}};

}  // namespace

TEST_CASE("resampling: as the textbook's filter, to one step of 255", "[transform]") {
    for (const Resampling& sizes : kSizes) {
        CAPTURE(sizes.in_width, sizes.in_height, sizes.out_width, sizes.out_height, sizes.bands);
        const Rows in = noise(sizes, 1);
        const Rows out = resampled(in, sizes, false);
        REQUIRE(out.size() ==
                static_cast<std::size_t>(sizes.out_width * sizes.out_height * sizes.bands));
        double worst = 0;
        std::size_t at = 0;
        for (int y = 0; y < sizes.out_height; ++y) {
            for (int x = 0; x < sizes.out_width; ++x) {
                for (int band = 0; band < sizes.bands; ++band)
                    worst = std::max(worst, std::abs(out[at++] - reference(in, sizes, x, y, band)));
            }
        }
        CHECK(worst <= 1.0);
    }
}

TEST_CASE("resampling: every processor gives the same bytes", "[transform]") {
    for (const Resampling& sizes : kSizes) {
        for (unsigned seed = 1; seed <= 3; ++seed) {
            CAPTURE(sizes.in_width, sizes.in_height, sizes.out_width, sizes.bands, seed);
            const Rows in = noise(sizes, seed);
            const bool equal = resampled(in, sizes, false) == resampled(in, sizes, true);
            CHECK(equal);
        }
    }
}

TEST_CASE("resampling: a plain field stays what it is, and what is not resized too",
          "[transform]") {
    for (const Resampling& sizes : kSizes) {
        CAPTURE(sizes.in_width, sizes.in_height, sizes.out_width, sizes.bands);
        const std::size_t pixels =
            static_cast<std::size_t>(sizes.in_width) * static_cast<std::size_t>(sizes.in_height);
        for (const unsigned level : {0U, 1U, 128U, 254U, 255U}) {
            const Rows in(pixels * static_cast<std::size_t>(sizes.bands),
                          static_cast<std::uint8_t>(level));
            CHECK(std::ranges::all_of(resampled(in, sizes, false),
                                      [&](std::uint8_t byte) { return byte == level; }));
        }
    }
    const Resampling same{30, 30, 30, 30, 3};
    const Rows in = noise(same, 5);
    const bool unchanged = resampled(in, same, false) == in;
    CHECK(unchanged);
}

TEST_CASE("resampling: a row is given as soon as its last one is there", "[transform]") {
    const Resampling sizes{8, 100, 4, 50, 1};
    Resampler resampler(sizes);
    const Rows row(8, 7);
    Rows out(4);
    int pushed = 0;
    int pulled = 0;
    while (pushed < 100) {
        resampler.push(row.data());
        ++pushed;
        while (resampler.pull(out.data()))
            ++pulled;
        // Half the filter's height behind, and no more.
        CHECK(pulled >= std::min(50, (pushed - 12) / 2));
    }
    CHECK(pulled == 50);
}
