// Making images smaller, row by row. Pure.
//
// Lanczos of three lobes, in integers throughout, so that every processor gives the same bytes. (It
// stands in for libvips' own, which is slow unless it may compile loops at run time, and whose last
// bit depends on where the reader's strips begin.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace tidepool::transform {

// The sizes of one step. Both sides are at most those of the source and at least 1.
struct Resampling {
    int in_width = 0;
    int in_height = 0;
    int out_width = 0;
    int out_height = 0;
    int bands = 3;  // 1, 3 or 4, of one byte, none of them alpha
};

// Takes the rows of a picture from top to bottom and gives those of the smaller one. One thread;
// holds as many rows as its filter is high.
class Resampler {
  public:
    explicit Resampler(const Resampling& sizes);
    ~Resampler();
    Resampler(const Resampler&) = delete;
    Resampler& operator=(const Resampler&) = delete;

    // Takes the next row, of in_width * bands bytes.
    void push(const std::uint8_t* row);

    // Writes the next row of the result, of out_width * bands bytes, and returns true; false where
    // it needs more rows first. After the last row was pushed it gives all that are left.
    bool pull(std::uint8_t* row);

  private:
    class Work;
    std::unique_ptr<Work> work_;
};

// For tests: without the instructions that only some processors have.
void use_plain_resampling(bool plain);

}  // namespace tidepool::transform
