// Cache-Tag: by what the edge is told to forget an answer (contracts: cloudflare.md 4). Pure.
#pragma once

#include "conf/settings.h"
#include "storage/image_key.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::serve {

// The tags that a configuration wants on answers, and how they are written, for whoever sends them
// and whoever has them forgotten. The edge does not tell upper case from lower, so all is lower. A
// tag is below 200 bytes, as its parts are bounded, of the 1024 that may be; the header has three
// at most, of 16 KB.
class CacheTags {
  public:
    CacheTags() = default;  // none
    explicit CacheTags(const conf::EdgeSettings& settings);

    // What an answer is about; what is "" or nothing is not known, or does not matter.
    struct Subject {
        std::string_view key;
        std::string_view pool;
        std::optional<std::int64_t> modified_s;  // seconds since 1970
    };
    // The header's line with its CRLF; "" where there is no tag.
    std::string line(const Subject& subject) const;

    // Whether answers of an image have its tag.
    bool names_images() const { return has_image_; }
    // A single tag, whether or not answers have it.
    std::string of_image(const storage::Uuid& image) const;  // "img-0e5a4b6c-..."
    std::string of_pool(std::string_view name) const;        // "pool-hot"
    std::string of_day(std::string_view day) const;          // "day-2026-02-25"

    bool operator==(const CacheTags&) const = default;

  private:
    std::string prefix_;
    bool has_image_ = false;
    bool has_pool_ = false;
    bool has_day_ = false;
};

}  // namespace tidepool::serve
