#include "transform/worker/resample.h"

#include "transform/worker/resample_kernels.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>
#include <vector>

namespace tidepool::transform {

namespace {

std::atomic<bool> plain_only{false};

const ResampleKernels& kernels() {
    const ResampleKernels* const fast = fast_resample_kernels();
    return fast == nullptr || plain_only ? plain_resample_kernels() : *fast;
}

constexpr double kLobes = 3;

double lanczos(double x) {
    if (x == 0) return 1;
    if (std::abs(x) >= kLobes) return 0;
    const double angle = std::numbers::pi * x;
    return kLobes * std::sin(angle) * std::sin(angle / kLobes) / (angle * angle);
}

// Which places of the source make each place of the result, and by how much.
struct Filter {
    int taps = 0;  // of each place; the same for all
    std::vector<int> first;
    std::vector<std::int16_t> weights;  // `taps` for each place; their sum is kResampleOne

    std::span<const std::int16_t> of(int place) const {
        return std::span(weights).subspan(
            static_cast<std::size_t>(place) * static_cast<std::size_t>(taps),
            static_cast<std::size_t>(taps));
    }
};

// In whole numbers, with their sum kept: a plain field stays what it is.
void put_weights(const std::vector<double>& exact, std::int16_t* to) {
    double sum = 0;
    for (const double each : exact)
        sum += each;
    int left = kResampleOne;
    std::size_t largest = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
        to[i] = static_cast<std::int16_t>(std::lround(exact[i] / sum * kResampleOne));
        left -= to[i];
        if (to[i] > to[largest]) largest = i;
    }
    to[largest] = static_cast<std::int16_t>(to[largest] + left);
}

Filter unchanged(int length) {
    Filter filter{.taps = 1,
                  .first = std::vector<int>(static_cast<std::size_t>(length)),
                  .weights = std::vector<std::int16_t>(static_cast<std::size_t>(length),
                                                       static_cast<std::int16_t>(kResampleOne))};
    std::iota(filter.first.begin(), filter.first.end(), 0);
    return filter;
}

// What lies outside is as the edge is.
Filter filter_of(int in, int out) {
    if (in == out) return unchanged(in);
    const double scale = static_cast<double>(in) / out;
    const double reach = kLobes * scale;
    Filter filter;
    filter.taps = std::min(in, 2 * static_cast<int>(std::ceil(reach)));
    filter.first.resize(static_cast<std::size_t>(out));
    filter.weights.resize(static_cast<std::size_t>(out) * static_cast<std::size_t>(filter.taps));
    std::vector<double> exact(static_cast<std::size_t>(filter.taps));
    for (int place = 0; place < out; ++place) {
        const double centre = (place + 0.5) * scale - 0.5;
        const int begin = static_cast<int>(std::floor(centre - reach)) + 1;
        const int end = static_cast<int>(std::ceil(centre + reach));
        const int first = std::clamp(begin, 0, in - filter.taps);
        std::ranges::fill(exact, 0.0);
        for (int at = begin; at < end; ++at) {
            const int kept = std::clamp(std::clamp(at, 0, in - 1) - first, 0, filter.taps - 1);
            exact[static_cast<std::size_t>(kept)] += lanczos((at - centre) / scale);
        }
        filter.first[static_cast<std::size_t>(place)] = first;
        put_weights(exact, filter.weights.data() + static_cast<std::size_t>(place) *
                                                       static_cast<std::size_t>(filter.taps));
    }
    return filter;
}

}  // namespace

// Columns first: each row of the result is summed up over whole rows of the source, and only what
// comes of that is filtered along the row.
class Resampler::Work {
  public:
    explicit Work(const Resampling& sizes)
        : sizes_(sizes),
          kernels_(kernels()),
          columns_(filter_of(sizes.in_height, sizes.out_height)),
          row_bytes_(static_cast<std::size_t>(sizes.in_width) *
                     static_cast<std::size_t>(sizes.bands)),
          rows_(static_cast<std::size_t>(columns_.taps) * stride()),
          pointers_(static_cast<std::size_t>(columns_.taps)),
          summed_(row_bytes_ + kResampleSlack) {
        Filter rows = filter_of(sizes.in_width, sizes.out_width);
        along_ = {.bands = sizes.bands,
                  .taps = rows.taps,
                  .first = std::move(rows.first),
                  .weights = std::move(rows.weights),
                  .spread = {}};
        if (kernels_.spread != nullptr) along_.spread = kernels_.spread(along_);
    }

    void push(const std::uint8_t* row) {
        std::copy_n(row, row_bytes_, row_at(pushed_));
        ++pushed_;
    }

    bool pull(std::uint8_t* row) {
        if (pulled_ == sizes_.out_height) return false;
        const int first = columns_.first[static_cast<std::size_t>(pulled_)];
        if (pushed_ < first + columns_.taps) return false;
        for (int i = 0; i < columns_.taps; ++i)
            pointers_[static_cast<std::size_t>(i)] = row_at(first + i);
        kernels_.sum_rows(pointers_.data(), columns_.of(pulled_), row_bytes_, summed_.data());
        kernels_.filter_row(summed_.data(), along_, row);
        ++pulled_;
        return true;
    }

  private:
    std::size_t stride() const { return row_bytes_ + kResampleSlack; }
    std::uint8_t* row_at(int number) {
        return rows_.data() + static_cast<std::size_t>(number % columns_.taps) * stride();
    }

    Resampling sizes_;
    const ResampleKernels& kernels_;
    Filter columns_;
    AlongRow along_;
    std::size_t row_bytes_;
    std::vector<std::uint8_t> rows_;  // the last ones, in turn
    std::vector<const std::uint8_t*> pointers_;
    std::vector<std::int16_t> summed_;
    int pushed_ = 0;
    int pulled_ = 0;
};

Resampler::Resampler(const Resampling& sizes) : work_(std::make_unique<Work>(sizes)) {}
Resampler::~Resampler() = default;

void Resampler::push(const std::uint8_t* row) {
    work_->push(row);
}

bool Resampler::pull(std::uint8_t* row) {
    return work_->pull(row);
}

void use_plain_resampling(bool plain) {
    plain_only = plain;
}

}  // namespace tidepool::transform
