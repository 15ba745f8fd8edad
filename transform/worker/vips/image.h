// What this folder's files share of libvips: an owned image, its errors, and its start.
//
// libvips builds pipelines: an operation gives an image that knows how to make its pixels, and they
// are made when the last one is saved. So a broken source may be found out only then.
#pragma once

#include "conf/error.h"

#include <span>
#include <utility>

#include <vips/vips.h>

namespace tidepool::transform {

// Owns a reference to an image, or none.
class Image {
  public:
    Image() = default;
    explicit Image(VipsImage* image) : image_(image) {}
    ~Image() {
        if (image_ != nullptr) g_object_unref(image_);
    }
    Image(Image&& other) noexcept : image_(std::exchange(other.image_, nullptr)) {}
    Image& operator=(Image&& other) noexcept {
        std::swap(image_, other.image_);
        return *this;
    }
    Image(const Image&) = delete;
    Image& operator=(const Image&) = delete;

    VipsImage* get() const { return image_; }
    // For an operation to put its result in; there must be none yet.
    VipsImage** slot() { return &image_; }

    int width() const { return vips_image_get_width(image_); }
    int height() const { return vips_image_get_height(image_); }
    bool has(const char* field) const { return vips_image_get_typeof(image_, field) != 0; }
    // A number among its fields; `otherwise` where there is none.
    int number(const char* field, int otherwise) const;
    // Bytes among its fields, which live as long as it does; none where there are none.
    std::span<const char> blob(const char* field) const;

  private:
    VipsImage* image_ = nullptr;
};

// Takes libvips' error text, which is cleared: "DOING: TEXT". `too_large` where that is of memory,
// which a worker has only so much of.
std::unexpected<Error> fail_vips(ErrorKind kind, const char* doing);

// Starts libvips where it was not yet: with one thread per image, for who wants more work at a time
// makes more images at a time; nothing kept from one image for the next; nothing compiled at run
// time; and the loaders blocked that its authors do not fuzz. Any thread.
Result<void> start_vips();

}  // namespace tidepool::transform
