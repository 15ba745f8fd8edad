#include "proxy/upload/image_resource.h"

#include "storage/image_key.h"
#include "storage/sigv4.h"
#include "transform/content_type.h"
#include "transform/recipe.h"
#include "transform/shape.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

namespace tidepool::upload {

namespace {

constexpr std::string_view kUuidPlace = "{uuid}";
constexpr std::string_view kFullSize = "original";

template <class Value>
void read_fact(const api::Json& json, const char* name, Value& into) {
    const auto found = json.find(name);
    if (found == json.end()) return;
    if constexpr (std::is_same_v<Value, std::string>) {
        if (found->is_string()) into = found->template get<std::string>();
    } else if constexpr (std::is_same_v<Value, api::Json>) {
        into = *found;
    } else {
        if (found->is_number_unsigned()) into = found->template get<Value>();
    }
}

// What is known of one object.
api::Json leaf(std::string url, const storage::ObjectRecord* row) {
    api::Json json{{"url", std::move(url)}};
    if (row == nullptr) return json;
    json["bytes"] = row->size;
    if (!row->content_type.empty()) json["mime_type"] = row->content_type;
    return json;
}

// How a variant is made of an image of this size is also how large it becomes.
void add_shape(api::Json& json, const transform::Recipe& recipe, const ImageFacts& facts) {
    if (facts.width == 0 || facts.height == 0) return;
    const transform::Shape shape =
        transform::shape_of(recipe, static_cast<int>(facts.width), static_cast<int>(facts.height));
    json["width"] = shape.kept_width;
    json["height"] = shape.kept_height;
    json["animated"] = facts.frames > 1 && transform::keeps_frames(recipe.format);
}

// The families that a variant is shown in: that of its format, and where it is a smaller form of
// the original in its own format, the original's.
std::vector<std::string> families_of(const transform::VariantName& name,
                                     std::string_view original_extension) {
    std::vector<std::string> families;
    const bool is_own = name.extension == original_extension;
    if (is_own && !name.size.empty()) families.emplace_back(kFullSize);
    if (!is_own || name.extension == "webp" || name.extension == "avif")
        families.push_back(name.extension);
    return families;
}

}  // namespace

ImageFacts facts_of(const transform::Inspection& inspection, bool keeps_position) {
    ImageFacts facts;
    facts.width = static_cast<std::uint32_t>(inspection.width);
    facts.height = static_cast<std::uint32_t>(inspection.height);
    facts.frames = static_cast<std::uint32_t>(inspection.frames);
    facts.blurhash = inspection.blur_hash.view();
    const auto add = [&facts](const char* name, std::string_view text) {
        if (!text.empty()) facts.exif[name] = std::string(text);
    };
    add("make", inspection.make.view());
    add("model", inspection.model.view());
    add("lens", inspection.lens.view());
    add("taken", inspection.taken.view());
    if (keeps_position && inspection.has_position != 0) {
        facts.exif["latitude"] = inspection.latitude;
        facts.exif["longitude"] = inspection.longitude;
    }
    return facts;
}

std::string text_of(const ImageFacts& facts) {
    api::Json json = api::Json::object();
    if (facts.width > 0) json["width"] = facts.width;
    if (facts.height > 0) json["height"] = facts.height;
    if (facts.frames > 1) json["frames"] = facts.frames;
    if (!facts.file_name.empty()) json["file_name"] = facts.file_name;
    if (!facts.blurhash.empty()) json["blurhash"] = facts.blurhash;
    if (!facts.failure.empty()) json["failure"] = facts.failure;
    if (!facts.app.is_null()) json["app"] = facts.app;
    if (!facts.exif.is_null()) json["exif"] = facts.exif;
    return api::text_of(json);
}

ImageFacts read_facts(std::string_view text) {
    ImageFacts facts;
    const api::Json json = api::Json::parse(text, nullptr, false);
    if (!json.is_object()) return facts;
    read_fact(json, "width", facts.width);
    read_fact(json, "height", facts.height);
    read_fact(json, "frames", facts.frames);
    read_fact(json, "file_name", facts.file_name);
    read_fact(json, "blurhash", facts.blurhash);
    read_fact(json, "failure", facts.failure);
    read_fact(json, "app", facts.app);
    read_fact(json, "exif", facts.exif);
    return facts;
}

std::string url_of(const conf::Settings& settings, std::span<const storage::KnownPool> pools,
                   storage::PoolId pool, std::string_view key) {
    const auto home = std::ranges::find(pools, pool, &storage::KnownPool::id);
    const bool has_own = home != pools.end() && !home->settings.public_base_url.empty();
    const std::string& base =
        has_own ? home->settings.public_base_url : settings.upload.public_base_url;
    return fmt::format("{}/{}", base, storage::encode_path(key));
}

std::string view_url_of(const conf::Settings& settings, const storage::Uuid& image) {
    std::string url = settings.upload.view_url;
    const std::size_t place = url.find(kUuidPlace);
    if (place == url.npos) return "";
    return url.replace(place, kUuidPlace.size(), storage::to_text(image));
}

api::Json image_resource(const conf::Settings& settings, std::span<const storage::KnownPool> pools,
                         const storage::ImageRecord& image,
                         std::span<const storage::ObjectRecord> rows) {
    const ImageFacts facts = read_facts(image.metadata);
    const storage::ImageKey key = storage::parse_image_key(image.original);
    const auto row_of = [&](std::string_view wanted) -> const storage::ObjectRecord* {
        const auto row = std::ranges::find(rows, wanted, &storage::ObjectRecord::key);
        return row == rows.end() ? nullptr : &*row;
    };
    const auto leaf_of = [&](const std::string& name) {
        return leaf(url_of(settings, pools, image.pool, name), row_of(name));
    };

    api::Json original = leaf_of(image.original);
    if (facts.width > 0) original["width"] = facts.width;
    if (facts.height > 0) original["height"] = facts.height;
    if (facts.width > 0) original["animated"] = facts.frames > 1;
    if (!original.contains("mime_type"))
        original["mime_type"] = transform::content_type_by_name(image.original);
    api::Json variants{{kFullSize, {{kFullSize, original}}}};

    const auto prefix = storage::variants_prefix(image.original);
    if (prefix) {
        for (const transform::VariantName& name :
             transform::variants_of(settings, key.extension, false)) {
            const auto order = transform::find_order(settings, name.size, name.extension);
            if (!order) continue;
            const bool is_tiny =
                facts.width > 0 && std::max(facts.width, facts.height) <= order->recipe.made_above;
            if (is_tiny) continue;
            const std::string size(name.size.empty() ? kFullSize : std::string_view(name.size));
            for (const std::string& family : families_of(name, key.extension))
                add_shape(variants[family][size] = leaf_of(*prefix + name.ending()), order->recipe,
                          facts);
        }
    }
    api::Json available = api::Json::array();
    for (const auto& family : variants.items())
        available.push_back(family.key());

    api::Json json{{"image_uuid", storage::to_text(image.uuid)}};
    if (const std::string view = view_url_of(settings, image.uuid); !view.empty())
        json["view_url"] = view;
    json["url"] = original["url"];
    json["available_variants"] = std::move(available);
    json["variants"] = std::move(variants);
    if (!facts.file_name.empty()) json["file_name"] = facts.file_name;
    if (!facts.blurhash.empty()) json["blurhash"] = facts.blurhash;
    if (!facts.exif.is_null()) json["exif"] = facts.exif;
    if (!facts.app.is_null()) json["app"] = facts.app;
    if (!facts.failure.empty()) json["failure"] = facts.failure;
    return json;
}

}  // namespace tidepool::upload
