// What is known of an original by its bytes; what a worker process says of one. Pure.
#pragma once

#include "transform/printable.h"
#include "transform/recipe.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace tidepool::transform {

// How closely an original is looked at.
enum class InspectDepth : std::uint8_t {
    structure,  // what an upload is asked: is all of it there, and nothing else; no pixels
    pixels,     // its first frame is decoded
};

// Printable UTF-8 of at most kBytes bytes, as it is in memory.
template <std::size_t kBytes>
class ShortText {
  public:
    std::string_view view() const {
        const std::string_view all(chars_.data(), chars_.size());
        return all.substr(0, all.find('\0'));
    }
    // See printable_text.
    void set(std::string_view text) {
        const std::string fit = printable_text(text, kBytes);
        chars_.fill('\0');
        std::ranges::copy(fit, chars_.begin());
    }

  private:
    std::array<char, kBytes> chars_{};
};

// Plain values, so that it can be handed to another process of the same program as it is in memory.
struct Inspection {
    ShortText<16> type;      // by its bytes: "image/jpeg"; one of is_decoded_type
    std::int32_t width = 0;  // of one frame, as it is to be seen
    std::int32_t height = 0;
    std::int32_t frames = 1;
    std::uint8_t orientation = 1;  // EXIF's, 1 to 8, of the pixels as they are stored
    std::uint8_t has_alpha = 0;    // 0 or 1; that it has the channel, not that it makes use of it

    // What its EXIF data says, which anybody can write there; "" where it says nothing. (libvips
    // 8.14 does not read that of PNGs.)
    ShortText<64> make;  // of the camera
    ShortText<64> model;
    ShortText<64> lens;
    ShortText<20> taken;            // see is_exif_time
    std::uint8_t has_position = 0;  // 0 or 1
    double latitude = 0;            // in degrees; north and east are positive
    double longitude = 0;

    InspectDepth depth = InspectDepth::structure;
    ShortText<28> blur_hash;  // with InspectDepth::pixels

    bool is_animated() const { return frames > 1; }
};
static_assert(std::is_trivially_copyable_v<Inspection>);

// True for the types of images that we decode, and so inspect and make variants of.
bool is_decoded_type(std::string_view type);

// What can be believed of what a process says that a stranger's file may have taken over: texts
// made printable anew, nothing that cannot be a number or a place. Nothing at all where no worker
// of ours says such a thing.
std::optional<Inspection> believed(const Inspection& told, InspectDepth depth,
                                   const Limits& limits);

}  // namespace tidepool::transform
