// An image as the API shows it (contracts: pixelfox.md, Upload API). Pure.
#pragma once

#include "conf/settings.h"
#include "proxy/api/pool_json.h"
#include "storage/catalog_records.h"
#include "storage/known_pool.h"
#include "transform/inspection.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::upload {

// What is known of an image beside its bytes: what the catalog keeps as its metadata.
struct ImageFacts {
    std::uint32_t width = 0;  // as it is to be seen; 0 = not known
    std::uint32_t height = 0;
    std::uint32_t frames = 1;
    std::string file_name;  // that it had at its owner's; "" = not known
    std::string blurhash;   // "" = none
    std::string failure;    // why its variants were not made; "" = they were
    api::Json app;          // fields that belong to the app, as they were sent; null = none
    api::Json exif;         // camera and time; null = none
    bool operator==(const ImageFacts&) const = default;
};
// With where it was taken only where that is to be kept.
ImageFacts facts_of(const transform::Inspection& inspection, bool keeps_position);
std::string text_of(const ImageFacts& facts);
// What text_of() gave; anything else is nothing known.
ImageFacts read_facts(std::string_view text);

// "https://images.example/uploads/..." of the object, by its pool's public_base_url or the site's;
// a path where there is neither.
std::string url_of(const conf::Settings& settings, std::span<const storage::KnownPool> pools,
                   storage::PoolId pool, std::string_view key);
// By upload.view_url; "" where there is none.
std::string view_url_of(const conf::Settings& settings, const storage::Uuid& image);

// image_uuid, view_url, url, variants and the rest, without `duplicate`. `rows` are the image's.
api::Json image_resource(const conf::Settings& settings, std::span<const storage::KnownPool> pools,
                         const storage::ImageRecord& image,
                         std::span<const storage::ObjectRecord> rows);

}  // namespace tidepool::upload
