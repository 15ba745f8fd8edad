// The inner loops of resample.h, in the ways that processors have. All give the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tidepool::transform {

// A weight of 1.
inline constexpr int kResampleBits = 14;
inline constexpr int kResampleOne = 1 << kResampleBits;
// Bits behind the point that summed rows keep. Lanczos overshoots by less than a half.
inline constexpr int kSummedBits = 6;
// Elements behind each row that may be read, though they count nothing.
inline constexpr std::size_t kResampleSlack = 64;

// A filter along a row.
struct AlongRow {
    int bands = 0;
    int taps = 0;
    std::vector<int> first;             // of each pixel of the result, in pixels
    std::vector<std::int16_t> weights;  // `taps` for each
    std::vector<std::int16_t> spread;   // the same as the kernel wants them; may be empty
};

struct ResampleKernels {
    // Sums up `rows` by `weights`, which are as many.
    void (*sum_rows)(const std::uint8_t* const* rows, std::span<const std::int16_t> weights,
                     std::size_t length, std::int16_t* to);
    void (*filter_row)(const std::int16_t* row, const AlongRow& filter, std::uint8_t* to);
    // What `spread` must be; null where it is not used.
    std::vector<std::int16_t> (*spread)(const AlongRow& filter);
};

const ResampleKernels& plain_resample_kernels();
// Null where this processor has none.
const ResampleKernels* fast_resample_kernels();

}  // namespace tidepool::transform
