#include "proxy/serve/signed_variants.h"

#include "storage/image_key.h"

#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::serve;
using tidepool::conf::Secret;
using tidepool::conf::VariantSettings;

namespace {

const std::string kUuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
const std::string kImage = "/2026/02/25/" + kUuid;

std::vector<std::uint8_t> bytes(std::string_view text) {
    return {text.begin(), text.end()};
}

const SigningPair kFirst{bytes("0123456789abcdef"), "salt"};
const SigningPair kSecond{bytes("fedcba9876543210"), "pepper"};
const char* const kFirstKey = "30313233343536373839616263646566";
const char* const kSecondKey = "66656463626139383736353433323130";

VariantSettings settings(unsigned signature_bytes = 32, bool with_second = true) {
    VariantSettings made;
    made.signature_bytes = signature_bytes;
    made.signing_keys = {Secret("env:A", kFirstKey)};
    made.signing_salts = {Secret("env:B", "73616c74")};
    if (with_second) {
        made.signing_keys.emplace_back("env:C", kSecondKey);
        made.signing_salts.emplace_back("env:D", "706570706572");
    }
    return made;
}

std::string signed_key(const std::string& path, const SigningPair& pair = kFirst,
                       std::size_t signature_bytes = 32) {
    return "uploads/variants/" + path_signature(pair, path, signature_bytes) + path;
}

// The key, "403: TEXT", or "ordinary".
std::string read(const std::string& key, const VariantSettings& from = settings()) {
    const auto answer = SignedVariants::of(from, "/uploads/")->read(key);
    if (!answer) return "ordinary";
    if (*answer) return **answer;
    return std::to_string(answer->error().status) + ": " + answer->error().text;
}

const std::string kWrong = "403: the signature is wrong";

}  // namespace

TEST_CASE("signed variants: imgproxy's own example", "[serve][signed_variants]") {
    const SigningPair pair{bytes("secret"), "hello"};
    const std::string_view path =
        "/rs:fill:300:400:0/g:sm/aHR0cDovL2V4YW1w/bGUuY29tL2ltYWdl/cy9jdXJpb3NpdHku/anBn.png";
    CHECK(path_signature(pair, path, 32) == "oKfUtW34Dvo2BGQehJFR4Nr0_rIjOtdtzJ3QFsUcXH8");
    CHECK(path_signature(pair, path, 8) == "oKfUtW34Dvo");
}

TEST_CASE("signed variants: a path orders what is stored under one name",
          "[serve][signed_variants]") {
    const std::string stored = "uploads/variants/2026/02/25/" + kUuid;
    const std::string fill = stored + "__rs_fill_300_200-g_no-q_80.webp";
    CHECK(read(signed_key("/rs:fill:300:200/g:no/q:80" + kImage + ".webp")) == fill);
    CHECK(read(signed_key("/q:80/resize:fill:300:200:0/g:no" + kImage + ".webp")) == fill);
    CHECK(read(signed_key("/w:20" + kImage + ".jpeg")) == stored + "__rs_fit_20_0.jpg");
    CHECK(read(signed_key("/w:20" + kImage + ".jpg")) == stored + "__rs_fit_20_0.jpg");
    CHECK(read(signed_key("/q:20" + kImage + ".avif")) == stored + "__q_20.avif");

    const auto parsed = tidepool::storage::parse_image_key(fill);
    CHECK(parsed.role == tidepool::storage::Role::variant);
    CHECK(parsed.prefix == "uploads/");
    CHECK(parsed.day == "2026/02/25");
    CHECK(parsed.size == "_rs_fill_300_200-g_no-q_80");
    CHECK(parsed.extension == "webp");
    CHECK(read(fill) == "ordinary");
}

TEST_CASE("signed variants: whoever has no key orders nothing", "[serve][signed_variants]") {
    const std::string path = "/w:20" + kImage + ".webp";
    const std::string good = path_signature(kFirst, path, 32);
    const std::string folder = "uploads/variants/";
    REQUIRE(read(folder + good + path).starts_with(folder + "2026"));
    for (std::size_t i = 0; i < good.size(); ++i) {
        std::string other = good;
        other[i] = other[i] == 'A' ? 'B' : 'A';
        CAPTURE(other);
        CHECK(read(folder + other + path) == kWrong);
    }
    // Options and formats that there are not: nothing is said of them.
    for (const std::string& signature :
         {std::string("insecure"), std::string("_"), good + "A", good + "=",
          good.substr(0, good.size() - 1), path_signature(kFirst, path, 31),
          path_signature({kFirst.key, "other"}, path, 32),
          path_signature({kFirst.key, ""}, path, 32),
          path_signature({kFirst.key, kSecond.salt}, path, 32),
          path_signature({kSecond.key, kFirst.salt}, path, 32)}) {
        CAPTURE(signature);
        CHECK(read(folder + signature + path) == kWrong);
        CHECK(read(folder + signature + "/blur:3" + kImage + ".bmp") == kWrong);
    }
    CHECK(read(folder + good + "/w:21" + kImage + ".webp") == kWrong);
    CHECK(read(folder + good + "/w:20" + kImage + ".avif") == kWrong);
    CHECK(read(folder + good + "/w:20/2026/02/26/" + kUuid + ".webp") == kWrong);
    CHECK(read(folder + good + "/w:20/g:no" + kImage + ".webp") == kWrong);
    // The signature of a path without its first slash, or with what stands before it.
    CHECK(read(folder + path_signature(kFirst, path.substr(1), 32) + path) == kWrong);
    CHECK(read(folder + path_signature(kFirst, "/" + folder + path.substr(1), 32) + path) ==
          kWrong);
}

TEST_CASE("signed variants: old pairs are believed while they are configured",
          "[serve][signed_variants]") {
    const std::string path = "/w:20" + kImage + ".webp";
    const std::string stored = read(signed_key(path));
    CHECK(read(signed_key(path, kSecond)) == stored);
    CHECK(read(signed_key(path, kSecond), settings(32, false)) == kWrong);
    CHECK(read(signed_key(path, kFirst), settings(32, false)) == stored);
}

TEST_CASE("signed variants: signatures can be shorter", "[serve][signed_variants]") {
    const std::string path = "/w:20" + kImage + ".webp";
    const std::string stored = read(signed_key(path));
    for (const unsigned size : {8U, 9U, 10U, 31U, 32U}) {
        CAPTURE(size);
        CHECK(read(signed_key(path, kFirst, size), settings(size)) == stored);
        CHECK(read(signed_key(path, kFirst, size - 1), settings(size)) == kWrong);
    }
    CHECK(read(signed_key(path, kFirst, 32), settings(8)) == kWrong);
}

TEST_CASE("signed variants: what there is not is said to who has signed for it",
          "[serve][signed_variants]") {
    CHECK(read(signed_key("/w:20/blur:3" + kImage + ".webp")) == "400: option 2 is unknown: blur");
    CHECK(read(signed_key("/w:20/w:20" + kImage + ".webp")) == "400: w is given twice");
    CHECK(read(signed_key("/w:99999" + kImage + ".webp")) ==
          "400: w: expected a whole number from 0 to 16384");
    CHECK(read(signed_key(kImage + ".webp")) ==
          "400: a size is missing, or the quality of a format that has one");
    CHECK(read(signed_key("//w:20" + kImage + ".webp")) == "400: option 1 is unknown");
    for (const char* const extension : {".bmp", ".WEBP", ".svg", "."})
        CHECK(read(signed_key("/w:20" + kImage + extension)) == "400: there is no such format");
}

TEST_CASE("signed variants: other names are what they were", "[serve][signed_variants]") {
    for (const std::string& key :
         {"uploads/variants" + kImage + ".webp", "uploads/variants" + kImage + "_small.webp",
          "uploads/original" + kImage + ".webp", "uploads/original/sig/w:20" + kImage + ".webp",
          "variants/sig/w:20" + kImage + ".webp", std::string("uploads/variants/"),
          std::string("uploads/variants/a/b/c/d/e"), std::string("uploads/variants//////"),
          "uploads/variants/sig/w:20" + kImage,
          "uploads/variants/sig/w:20" + kImage + "_small.webp",
          "uploads/variants/sig/w:20" + kImage + "_.webp",
          "uploads/variants/sig/w:20/2026/2/25/" + kUuid + ".webp",
          std::string("uploads/variants/sig/w:20/2026/02/25/picture.webp"), kUuid}) {
        CAPTURE(key);
        CHECK(read(key) == "ordinary");
    }
    CHECK(SignedVariants::of(VariantSettings(), "/uploads/") == nullptr);
}

TEST_CASE("signed variants: below another prefix", "[serve][signed_variants]") {
    const std::string path = "/w:20" + kImage + ".webp";
    const auto at_root = SignedVariants::of(settings(), "/");
    const auto answer = at_root->read("variants/" + path_signature(kFirst, path, 32) + path);
    REQUIRE(answer);
    CHECK(*answer == "variants/2026/02/25/" + kUuid + "__rs_fit_20_0.webp");
}
