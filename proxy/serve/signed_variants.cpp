#include "proxy/serve/signed_variants.h"

#include "conf/digest.h"
#include "storage/image_key.h"
#include "transform/format.h"
#include "transform/variant_options.h"

#include <algorithm>
#include <span>
#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

std::vector<std::uint8_t> bytes_of(const conf::Secret& secret) {
    return conf::parse_hex(secret.reveal()).value_or(std::vector<std::uint8_t>());
}

// Where the last `count` segments of a path begin; nothing where nothing stands before them.
std::optional<std::size_t> last_segments(std::string_view path, std::size_t count) {
    std::size_t slash = path.size();
    for (; count > 0; --count) {
        if (slash == 0) return std::nullopt;
        slash = path.rfind('/', slash - 1);
        if (slash == path.npos) return std::nullopt;
    }
    return slash + 1;
}

std::vector<std::string_view> segments_of(std::string_view path) {
    std::vector<std::string_view> segments;
    while (!path.empty()) {
        const std::size_t end = std::min(path.find('/'), path.size());
        segments.push_back(path.substr(0, end));
        path.remove_prefix(std::min(end + 1, path.size()));
    }
    return segments;
}

}  // namespace

std::string path_signature(const SigningPair& pair, std::string_view path, std::size_t bytes) {
    const auto digest = conf::hmac_sha256(pair.key, pair.salt + std::string(path));
    return conf::base64url(std::span(digest).first(std::min(bytes, digest.size())));
}

std::shared_ptr<const SignedVariants> SignedVariants::of(const conf::VariantSettings& settings,
                                                         std::string_view url_prefix) {
    if (settings.signing_keys.empty()) return nullptr;
    const std::shared_ptr<SignedVariants> made(new SignedVariants);
    made->folder_ = fmt::format("{}variants/", url_prefix.substr(1));
    made->signature_bytes_ = settings.signature_bytes;
    const std::size_t count = std::min(settings.signing_keys.size(), settings.signing_salts.size());
    for (std::size_t i = 0; i < count; ++i) {
        const std::vector<std::uint8_t> salt = bytes_of(settings.signing_salts[i]);
        made->pairs_.push_back(
            {bytes_of(settings.signing_keys[i]), std::string(salt.begin(), salt.end())});
    }
    return made;
}

// All pairs are tried whichever fits, so that the time does not tell which one is whose.
bool SignedVariants::is_ours(std::string_view signature, std::string_view path) const {
    bool is_ours = false;
    for (const SigningPair& pair : pairs_) {
        const std::string expected = path_signature(pair, path, signature_bytes_);
        if (conf::equal_in_constant_time(expected, signature)) is_ours = true;
    }
    return is_ours;
}

std::optional<std::expected<std::string, SignedVariants::Refusal>> SignedVariants::read(
    std::string_view key) const {
    constexpr std::size_t kDayAndName = 4;
    if (!key.starts_with(folder_)) return std::nullopt;
    const std::string_view rest = key.substr(folder_.size());
    // An ordinary name ends here: it has a day and nothing before it.
    const auto plain_start = last_segments(rest, kDayAndName);
    if (!plain_start) return std::nullopt;
    const std::string plain = folder_ + std::string(rest.substr(*plain_start));
    const storage::ImageKey image = storage::parse_image_key(plain);
    if (image.day.empty() || !image.image) return std::nullopt;
    const std::string uuid = storage::to_text(*image.image);
    if (!plain.ends_with(fmt::format("/{}.{}", uuid, image.extension))) return std::nullopt;

    const std::string_view signature = rest.substr(0, rest.find('/'));
    const std::string_view path = rest.substr(signature.size());
    if (!is_ours(signature, path)) return std::unexpected(Refusal{403, "the signature is wrong"});
    const auto format = transform::format_of_extension(image.extension);
    if (!format) return std::unexpected(Refusal{400, "there is no such format"});
    std::string_view between = rest.substr(0, *plain_start - 1);
    between.remove_prefix(std::min(signature.size() + 1, between.size()));
    const auto options = transform::parse_variant_options(segments_of(between), *format);
    if (!options) return std::unexpected(Refusal{400, options.error()});
    return fmt::format("{}{}/{}_{}.{}", folder_, image.day, uuid, transform::size_name_of(*options),
                       transform::extension_of(*format));
}

std::vector<std::string> SignedVariants::orders_of(std::string_view stored_key) const {
    const storage::ImageKey image = storage::parse_image_key(stored_key);
    if (!stored_key.starts_with(folder_) || image.day.empty() || !image.image ||
        !transform::is_name_of_options(image.size))
        return {};
    // "_rs_fill_300_200-q_80" is "rs:fill:300:200/q:80".
    std::string options(image.size.substr(1));
    std::ranges::replace(options, '_', ':');
    std::ranges::replace(options, '-', '/');
    const std::string path = fmt::format("/{}/{}/{}.{}", options, image.day,
                                         storage::to_text(*image.image), image.extension);
    std::vector<std::string> orders;
    for (const SigningPair& pair : pairs_)
        orders.push_back(folder_ + path_signature(pair, path, signature_bytes_) + path);
    return orders;
}

}  // namespace tidepool::serve
