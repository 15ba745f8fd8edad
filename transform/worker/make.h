// Making a variant from its original. Knows no files, names or pools. Blocks, and may crash, hang
// or take much memory with a source that was made for that: call it in a worker process.
#pragma once

#include "conf/error.h"
#include "transform/recipe.h"
#include "transform/worker/bytes.h"

#include <cstddef>
#include <memory>
#include <span>

namespace tidepool::transform {

struct Made {
    Bytes bytes;
    int width = 0;  // of one frame
    int height = 0;
    int frames = 1;
};

// Makes all that is loaded or made on first use, so that make() touches no file afterwards. Any
// thread. `misconfigured` where libvips cannot do what we need.
Result<void> prepare_to_make();

// The same bytes for the same source, recipe and version of the libraries. Upright, in sRGB,
// without metadata, never larger than the original.
//   corrupt    the source is no image that we decode, or a broken one
//   too_large  it or the variant is beyond a limit, or beyond the format
//   not_found  of so small an image this variant is not made (Recipe::made_above)
Result<Made> make(std::span<const char> bytes, const Recipe& recipe);

// The variants of one source, made from as few decodes as possible and each with the bytes that
// make() gives: those that are decoded alike share the decoded pixels, those that look alike share
// the finished ones, too. What no later variant needs is freed before one is encoded. One thread.
class VariantSet {
  public:
    // Both must outlive it.
    VariantSet(std::span<const char> bytes, std::span<const Recipe> recipes);
    ~VariantSet();
    VariantSet(const VariantSet&) = delete;
    VariantSet& operator=(const VariantSet&) = delete;

    // Makes the variant of recipes[index]. Each once, in their order. Errors are those of make(),
    // and none of them is in the way of the next variant. Where it throws bad_alloc, what was kept
    // for later variants is freed.
    Result<Made> make(std::size_t index);

    // How often the source's pixels were decoded so far.
    unsigned decodes() const;

  private:
    class Work;
    std::unique_ptr<Work> work_;
};

}  // namespace tidepool::transform
