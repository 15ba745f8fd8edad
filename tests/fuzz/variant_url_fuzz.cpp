// Nobody but who has a key orders a variant, whatever they send; and for whom has one every path
// that is understood is one name of one recipe, which no profile has.
#include "conf/settings.h"
#include "proxy/serve/signed_variants.h"
#include "storage/image_key.h"
#include "storage/key.h"
#include "tests/fuzz/check.h"
#include "transform/recipe.h"
#include "transform/variant_options.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

using namespace tidepool;
using tidepool::fuzz::check;

namespace {

constexpr std::string_view kFolder = "uploads/variants/";
constexpr std::string_view kDayAndUuid = "/2026/02/25/0f8fad5b-d9cb-469f-a165-70867728950e.";

const serve::SigningPair kPair{
    {'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p'}, "salt"};

std::shared_ptr<const serve::SignedVariants> reader() {
    conf::VariantSettings settings;
    settings.signing_keys = {conf::Secret("env:KEY", "6162636465666768696a6b6c6d6e6f70")};
    settings.signing_salts = {conf::Secret("env:SALT", "73616c74")};
    return serve::SignedVariants::of(settings, "/uploads/");
}

// A name that a signed path orders.
void check_stored(std::string_view key) {
    static const conf::Settings settings;
    std::string same;
    check(storage::key_from_path("/" + std::string(key), "/uploads/", same) ==
          storage::KeyVerdict::good);
    check(same == key);
    const storage::ImageKey parsed = storage::parse_image_key(key);
    check(parsed.role == storage::Role::variant && parsed.image && !parsed.day.empty());
    check(transform::is_name_of_options(parsed.size));
    const auto format = transform::format_of_extension(parsed.extension);
    check(format.has_value());
    const auto options = transform::options_named(parsed.size, *format);
    check(options && transform::size_name_of(*options) == parsed.size);
    const auto order = transform::find_order(settings, parsed.size, parsed.extension);
    check(order && !order->profile && order->recipe.format == *format);
    check(order->recipe.width == options->width && order->recipe.height == options->height);
}

void check_text(std::string_view text) {
    check(!text.empty() && text.size() < 100);
    // It stands in JSON and in a line as it is.
    check(text.find_first_of("\"\\") == text.npos);
    for (const char c : text)
        check(c >= ' ' && c <= '~');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto signed_variants = reader();
    const std::string text(reinterpret_cast<const char*>(data), size);
    // As it comes: nobody guesses a signature.
    for (const std::string& key : {text, std::string(kFolder) + text}) {
        const auto answer = signed_variants->read(key);
        check(!answer || (!*answer && answer->error().status == 403));
    }
    // As the options, and as the whole of what is signed.
    for (const std::string& path : {"/" + text + std::string(kDayAndUuid) + "webp",
                                    "/" + text + std::string(kDayAndUuid) + "jpeg", "/" + text}) {
        const auto answer = signed_variants->read(std::string(kFolder) +
                                                  serve::path_signature(kPair, path, 32) + path);
        if (!answer) continue;
        if (*answer) {
            check_stored(**answer);
        } else {
            check(answer->error().status == 400);
            check_text(answer->error().text);
        }
    }
    for (const auto format : {transform::Format::webp, transform::Format::jpeg,
                              transform::Format::png, transform::Format::gif}) {
        const auto options = transform::options_named(text, format);
        check(!options || transform::size_name_of(*options) == text);
    }
    return 0;
}
