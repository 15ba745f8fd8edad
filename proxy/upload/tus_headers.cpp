#include "proxy/upload/tus_headers.h"

#include "conf/ascii.h"
#include "conf/digest.h"
#include "conf/text_rules.h"
#include "conf/utf8.h"

#include <algorithm>
#include <array>
#include <utility>

namespace tidepool::upload {

namespace {

constexpr std::size_t kMostNumberDigits = 18;
// It is kept and given back as it came.
constexpr std::size_t kMostMetadataBytes = 8192;
constexpr std::size_t kMostNameBytes = 1024;

std::unexpected<Error> bad_metadata(const char* why) {
    return fail(ErrorKind::invalid, why);
}

bool is_metadata_key(std::string_view text) {
    return !text.empty() &&
           std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7F && c != ','; });
}

Result<std::string> plain_name(const std::vector<std::uint8_t>& bytes) {
    std::string name(bytes.begin(), bytes.end());
    const bool is_control = std::ranges::any_of(
        name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
    if (is_control || !conf::is_utf8(name))
        return bad_metadata("the file name in Upload-Metadata is not plain UTF-8");
    if (const std::size_t slash = name.find_last_of("/\\"); slash != name.npos)
        name.erase(0, slash + 1);
    if (name.size() > kMostNameBytes)
        return bad_metadata("the file name in Upload-Metadata is too long");
    return name;
}

struct KnownAlgorithm {
    std::string_view name;
    TusChecksum::Algorithm algorithm;
    std::size_t bytes;
};
constexpr std::array<KnownAlgorithm, 3> kKnownAlgorithms{
    {{"md5", TusChecksum::Algorithm::md5, 16},
     {"sha1", TusChecksum::Algorithm::sha1, 20},
     {"sha256", TusChecksum::Algorithm::sha256, 32}}};

}  // namespace

std::optional<std::uint64_t> parse_tus_number(std::string_view text) {
    if (text.empty() || text.size() > kMostNumberDigits ||
        !std::ranges::all_of(text, conf::is_digit))
        return std::nullopt;
    std::uint64_t value = 0;
    for (const char c : text)
        value = value * 10 + static_cast<std::uint64_t>(c - '0');
    return value;
}

Result<std::string> file_name_in(std::string_view metadata) {
    if (metadata.size() > kMostMetadataBytes) return bad_metadata("Upload-Metadata is too long");
    std::string file_name;
    std::vector<std::string_view> keys;
    while (!metadata.empty()) {
        const std::size_t comma = std::min(metadata.find(','), metadata.size());
        const std::string_view pair = conf::trim(metadata.substr(0, comma));
        metadata.remove_prefix(std::min(comma + 1, metadata.size()));
        const std::size_t blank = std::min(pair.find(' '), pair.size());
        const std::string_view key = pair.substr(0, blank);
        // A key may stand alone.
        const auto value = conf::parse_base64(conf::trim(pair.substr(blank)));
        if (!is_metadata_key(key) || !value)
            return bad_metadata("Upload-Metadata is not of the form \"key base64,key base64\"");
        if (std::ranges::find(keys, key) != keys.end())
            return bad_metadata("Upload-Metadata has a key twice");
        keys.push_back(key);
        if (key != "filename") continue;
        auto name = plain_name(*value);
        if (!name) return name;
        file_name = std::move(*name);
    }
    return file_name;
}

std::optional<TusChecksum> parse_tus_checksum(std::string_view text) {
    const std::size_t blank = std::min(text.find(' '), text.size());
    const std::string name = conf::lower_case(text.substr(0, blank));
    const auto known = std::ranges::find(kKnownAlgorithms, name, &KnownAlgorithm::name);
    if (known == kKnownAlgorithms.end()) return std::nullopt;
    auto digest = conf::parse_base64(conf::trim(text.substr(blank)));
    if (!digest || digest->size() != known->bytes) return std::nullopt;
    return TusChecksum{known->algorithm, std::move(*digest)};
}

}  // namespace tidepool::upload
