// Whatever stands in the headers of tus requests: what is taken is what its base64 says, written in
// the only way there is, and a file name has no folder and nothing that is not plain text.
#include "conf/digest.h"
#include "conf/utf8.h"
#include "proxy/upload/tus_headers.h"
#include "tests/fuzz/check.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

using namespace tidepool;
using namespace tidepool::upload;
using tidepool::fuzz::check;

namespace {

void check_name(std::string_view metadata) {
    const auto name = file_name_in(metadata);
    if (!name || name->empty()) return;
    check(conf::is_utf8(*name));
    check(name->find_first_of("/\\") == name->npos);
    check(std::ranges::none_of(*name, [](char c) { return static_cast<unsigned char>(c) < 0x20; }));
    // Alone it is the same; so nothing of the other pairs has come in.
    const std::string alone =
        "filename " +
        conf::base64({reinterpret_cast<const std::uint8_t*>(name->data()), name->size()});
    check(file_name_in(alone) == *name);
}

void check_checksum(std::string_view text) {
    const auto checksum = parse_tus_checksum(text);
    if (!checksum) return;
    const std::string written = conf::base64(checksum->digest);
    check(text.find(written) != text.npos);
}

void check_number(std::string_view text) {
    const auto number = parse_tus_number(text);
    if (!number) return;
    check(*number < 1'000'000'000'000'000'000);
    const std::size_t zeros = std::min(text.find_first_not_of('0'), text.size() - 1);
    check(std::to_string(*number) == text.substr(zeros));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    check_name(text);
    check_checksum(text);
    check_number(text);
    return 0;
}
