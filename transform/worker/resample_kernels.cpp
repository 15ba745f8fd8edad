#include "transform/worker/resample_kernels.h"

#include <algorithm>

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace tidepool::transform {

namespace {

constexpr int kSumShift = kResampleBits - kSummedBits;
constexpr int kSumHalf = 1 << (kSumShift - 1);
constexpr int kRowShift = kResampleBits + kSummedBits;
constexpr int kRowHalf = 1 << (kRowShift - 1);

// --- for every processor
// ---------------------------------------------------------------------------

void sum_rows_plain(const std::uint8_t* const* rows, std::span<const std::int16_t> weights,
                    std::size_t length, std::int16_t* to) {
    constexpr std::size_t kBlock = 256;
    for (std::size_t begin = 0; begin < length; begin += kBlock) {
        const std::size_t count = std::min(kBlock, length - begin);
        std::int32_t sums[kBlock];
        std::fill_n(sums, count, kSumHalf);
        for (std::size_t tap = 0; tap < weights.size(); ++tap) {
            const std::uint8_t* const row = rows[tap] + begin;
            const std::int32_t weight = weights[tap];
            for (std::size_t i = 0; i < count; ++i)
                sums[i] += row[i] * weight;
        }
        for (std::size_t i = 0; i < count; ++i)
            to[begin + i] = static_cast<std::int16_t>(sums[i] >> kSumShift);
    }
}

void filter_row_plain(const std::int16_t* row, const AlongRow& filter, std::uint8_t* to) {
    const std::int16_t* weights = filter.weights.data();
    for (const int first : filter.first) {
        for (int band = 0; band < filter.bands; ++band) {
            const std::int16_t* from = row + std::ptrdiff_t{first} * filter.bands + band;
            std::int32_t sum = kRowHalf;
            for (int tap = 0; tap < filter.taps; ++tap, from += filter.bands)
                sum += *from * weights[tap];
            *to++ = static_cast<std::uint8_t>(std::clamp(sum >> kRowShift, 0, 255));
        }
        weights += filter.taps;
    }
}

constexpr ResampleKernels kPlain{sum_rows_plain, filter_row_plain, nullptr};

// --- AVX2
// ------------------------------------------------------------------------------------------

#ifdef __x86_64__

#define TIDEPOOL_AVX2 __attribute__((target("avx2")))

// A vector's worth of weights along a row: of one band 16 taps, else 4 taps as pairs, each pair
// once for each of four bands.
constexpr int kLanes = 16;

int taps_a_step(int bands) {
    return bands == 1 ? kLanes : 4;
}
int steps_of(const AlongRow& filter) {
    const int each = taps_a_step(filter.bands);
    return (filter.taps + each - 1) / each;
}

std::vector<std::int16_t> spread_avx2(const AlongRow& filter) {
    const int each = taps_a_step(filter.bands);
    const int steps = steps_of(filter);
    std::vector<std::int16_t> spread;
    spread.reserve(filter.first.size() * static_cast<std::size_t>(steps * kLanes));
    for (std::size_t pixel = 0; pixel < filter.first.size(); ++pixel) {
        const std::int16_t* const weights =
            filter.weights.data() + pixel * static_cast<std::size_t>(filter.taps);
        for (int lane = 0; lane < steps * kLanes; ++lane) {
            const int in_step = lane % kLanes;
            const int tap =
                filter.bands == 1 ? lane : lane / kLanes * each + in_step / 8 * 2 + in_step % 2;
            spread.push_back(tap < filter.taps ? weights[tap] : std::int16_t{0});
        }
    }
    return spread;
}

TIDEPOOL_AVX2 __m128i load_half(const void* from) {
    return _mm_loadu_si128(static_cast<const __m128i*>(from));
}
TIDEPOOL_AVX2 __m256i load_all(const void* from) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

// Two weights as a pair in each 32 bits.
TIDEPOOL_AVX2 __m256i pair_of(std::int16_t first, std::int16_t second) {
    const auto low = static_cast<std::uint16_t>(first);
    const auto high = static_cast<std::uint32_t>(static_cast<std::uint16_t>(second)) << 16;
    return _mm256_set1_epi32(static_cast<int>(high | low));
}

// 16 places of all rows.
TIDEPOOL_AVX2 __m256i sum_block(const std::uint8_t* const* rows,
                                std::span<const std::int16_t> weights, std::size_t at) {
    __m256i low = _mm256_set1_epi32(kSumHalf);
    __m256i high = low;
    std::size_t tap = 0;
    for (; tap + 1 < weights.size(); tap += 2) {
        const __m128i first = load_half(rows[tap] + at);
        const __m128i second = load_half(rows[tap + 1] + at);
        const __m256i pair = pair_of(weights[tap], weights[tap + 1]);
        low = _mm256_add_epi32(
            low, _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(first, second)), pair));
        high = _mm256_add_epi32(
            high, _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm_unpackhi_epi8(first, second)), pair));
    }
    if (tap < weights.size()) {
        const __m128i last = load_half(rows[tap] + at);
        const __m128i none = _mm_setzero_si128();
        const __m256i pair = pair_of(weights[tap], 0);
        low = _mm256_add_epi32(
            low, _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(last, none)), pair));
        high = _mm256_add_epi32(
            high, _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm_unpackhi_epi8(last, none)), pair));
    }
    // Packing works on each half by itself: 0-3, 8-11, 4-7, 12-15.
    const __m256i packed =
        _mm256_packs_epi32(_mm256_srai_epi32(low, kSumShift), _mm256_srai_epi32(high, kSumShift));
    return _mm256_permute4x64_epi64(packed, _MM_SHUFFLE(3, 1, 2, 0));
}

// Rows and result have some room behind their end.
TIDEPOOL_AVX2 void sum_rows_avx2(const std::uint8_t* const* rows,
                                 std::span<const std::int16_t> weights, std::size_t length,
                                 std::int16_t* to) {
    static_assert(kResampleSlack >= kLanes);
    for (std::size_t at = 0; at < length; at += kLanes)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + at), sum_block(rows, weights, at));
}

// The sum of the four numbers of each half, in the bands' order, or of all eight for one band; as
// bytes.
TIDEPOOL_AVX2 std::uint32_t bytes_of(__m256i sums) {
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    sum = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(kRowHalf)), kRowShift);
    sum = _mm_packus_epi16(_mm_packs_epi32(sum, sum), sum);
    return static_cast<std::uint32_t>(_mm_cvtsi128_si32(sum));
}

TIDEPOOL_AVX2 std::uint8_t byte_of(__m256i sums) {
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(1, 0, 3, 2)));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(2, 3, 0, 1)));
    return static_cast<std::uint8_t>(
        std::clamp((_mm_cvtsi128_si32(sum) + kRowHalf) >> kRowShift, 0, 255));
}

// Four pixels of three or four bands: pixels 0 and 1 in the lower half, 2 and 3 in the upper one,
// each band's two side by side.
template <int bands>
TIDEPOOL_AVX2 __m256i four_pixels(const std::int16_t* from) {
    if constexpr (bands == 4) {
        const __m256i order =
            _mm256_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15, 0, 1, 8, 9, 2, 3,
                             10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
        return _mm256_shuffle_epi8(load_all(from), order);
    } else {
        const __m256i order =
            _mm256_setr_epi8(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1,  //
                             0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1);
        return _mm256_shuffle_epi8(_mm256_set_m128i(load_half(from + 6), load_half(from)), order);
    }
}

template <int bands>
TIDEPOOL_AVX2 void filter_colours(const std::int16_t* row, const AlongRow& filter,
                                  std::uint8_t* to) {
    const int steps = steps_of(filter);
    const std::int16_t* weights = filter.spread.data();
    for (const int first : filter.first) {
        const std::int16_t* from = row + std::ptrdiff_t{first} * bands;
        __m256i sums = _mm256_setzero_si256();
        for (int step = 0; step < steps;
             ++step, from += std::ptrdiff_t{4} * bands, weights += kLanes) {
            sums = _mm256_add_epi32(sums,
                                    _mm256_madd_epi16(four_pixels<bands>(from), load_all(weights)));
        }
        const std::uint32_t pixel = bytes_of(sums);
        for (int band = 0; band < bands; ++band)
            *to++ = static_cast<std::uint8_t>(pixel >> (8 * band));
    }
}

TIDEPOOL_AVX2 void filter_grey(const std::int16_t* row, const AlongRow& filter, std::uint8_t* to) {
    const int steps = steps_of(filter);
    const std::int16_t* weights = filter.spread.data();
    for (const int first : filter.first) {
        const std::int16_t* from = row + first;
        __m256i sums = _mm256_setzero_si256();
        for (int step = 0; step < steps; ++step, from += kLanes, weights += kLanes)
            sums = _mm256_add_epi32(sums, _mm256_madd_epi16(load_all(from), load_all(weights)));
        *to++ = byte_of(sums);
    }
}

TIDEPOOL_AVX2 void filter_row_avx2(const std::int16_t* row, const AlongRow& filter,
                                   std::uint8_t* to) {
    static_assert(kResampleSlack >= std::size_t{4} * kLanes);
    if (filter.bands == 1) return filter_grey(row, filter, to);
    if (filter.bands == 3) return filter_colours<3>(row, filter, to);
    filter_colours<4>(row, filter, to);
}

constexpr ResampleKernels kAvx2{sum_rows_avx2, filter_row_avx2, spread_avx2};

#endif

}  // namespace

const ResampleKernels& plain_resample_kernels() {
    return kPlain;
}

const ResampleKernels* fast_resample_kernels() {
#ifdef __x86_64__
    static const bool usable = __builtin_cpu_supports("avx2") != 0;
    return usable ? &kAvx2 : nullptr;
#else
    return nullptr;
#endif
}

}  // namespace tidepool::transform
