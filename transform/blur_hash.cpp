#include "transform/blur_hash.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

namespace tidepool::transform {

namespace {

constexpr std::string_view kDigits =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~";
static_assert(kDigits.size() == 83);

// Of linear light.
struct Light {
    double red = 0;
    double green = 0;
    double blue = 0;
};

double linear_of(unsigned value) {
    const double part = value / 255.0;
    return part <= 0.04045 ? part / 12.92 : std::pow((part + 0.055) / 1.055, 2.4);
}

unsigned byte_of(double linear) {
    const double part = std::clamp(linear, 0.0, 1.0);
    const double coded = part <= 0.0031308 ? part * 12.92 : 1.055 * std::pow(part, 1 / 2.4) - 0.055;
    return static_cast<unsigned>(coded * 255 + 0.5);
}

void put_digits(std::string& to, unsigned value, unsigned count) {
    std::string digits;
    for (unsigned i = 0; i < count; ++i, value /= 83)
        digits += kDigits[value % 83];
    to.append(digits.rbegin(), digits.rend());
}

// cos(pi * wave * i / length) for each i.
std::vector<double> wave_of(int wave, int length) {
    std::vector<double> values;
    for (int i = 0; i < length; ++i)
        values.push_back(std::cos(std::numbers::pi * wave * i / length));
    return values;
}

// One step of 19 for each colour.
unsigned quantised(const Light& factor, double most) {
    const auto step = [most](double value) {
        const double part = value / most;
        const double root = std::copysign(std::sqrt(std::abs(part)), part);
        return static_cast<unsigned>(std::clamp(std::floor(root * 9 + 9.5), 0.0, 18.0));
    };
    return (step(factor.red) * 19 + step(factor.green)) * 19 + step(factor.blue);
}

}  // namespace

std::string blur_hash(std::span<const std::uint8_t> pixels, int width, int height,
                      BlurHashDetail detail) {
    std::array<double, 256> linear{};
    for (unsigned i = 0; i < linear.size(); ++i)
        linear[i] = linear_of(i);

    std::vector<Light> factors;
    for (int down = 0; down < detail.down; ++down) {
        for (int across = 0; across < detail.across; ++across) {
            const std::vector<double> columns = wave_of(across, width);
            const std::vector<double> rows = wave_of(down, height);
            Light sum;
            for (std::size_t y = 0, at = 0; y < rows.size(); ++y) {
                for (std::size_t x = 0; x < columns.size(); ++x, at += 3) {
                    const double basis = rows[y] * columns[x];
                    sum.red += basis * linear[pixels[at]];
                    sum.green += basis * linear[pixels[at + 1]];
                    sum.blue += basis * linear[pixels[at + 2]];
                }
            }
            const double scale = (factors.empty() ? 1.0 : 2.0) / width / height;
            factors.push_back({sum.red * scale, sum.green * scale, sum.blue * scale});
        }
    }

    double largest = 0;
    for (const Light& factor : std::span(factors).subspan(1))
        largest = std::max(
            {largest, std::abs(factor.red), std::abs(factor.green), std::abs(factor.blue)});
    const double steps = std::clamp(std::floor(largest * 166 - 0.5), 0.0, 82.0);
    const bool has_waves = factors.size() > 1;

    std::string hash;
    put_digits(hash, static_cast<unsigned>(detail.across - 1 + (detail.down - 1) * 9), 1);
    put_digits(hash, has_waves ? static_cast<unsigned>(steps) : 0, 1);
    const Light& mean = factors[0];
    put_digits(hash, byte_of(mean.red) << 16 | byte_of(mean.green) << 8 | byte_of(mean.blue), 4);
    for (const Light& factor : std::span(factors).subspan(1))
        put_digits(hash, quantised(factor, (steps + 1) / 166), 2);
    return hash;
}

bool is_blur_hash(std::string_view text) {
    if (text.size() < 6 || text.find_first_not_of(kDigits) != text.npos) return false;
    const std::size_t waves = kDigits.find(text[0]);
    return waves < 81 && text.size() == 4 + 2 * (waves % 9 + 1) * (waves / 9 + 1);
}

}  // namespace tidepool::transform
