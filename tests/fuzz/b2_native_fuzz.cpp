// Whatever answers in the place of B2's native API: nothing breaks, what is taken of it may stand
// in a header or is a URL, and an error keeps to one line and quotes no token.
#include "proxy/serve/b2_native.h"
#include "tests/fuzz/check.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

using namespace tidepool;
using namespace tidepool::serve;
using tidepool::fuzz::check;

namespace {

constexpr std::string_view kNative = "https://api.backblazeb2.com";

bool may_stand_in_a_header(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

void check_error(const Error& error) {
    constexpr std::size_t kLongestLine = 600;  // 80 bytes of a prefix, each written as \xNN
    check(error.text.size() < kLongestLine);
    check(std::ranges::none_of(error.text,
                               [](char c) { return static_cast<unsigned char>(c) < 0x20; }));
    // Else an object would be taken to be absent.
    check(error.kind != ErrorKind::not_found);
}

void read_account(std::string_view body) {
    const auto account = parse_account(body, kNative);
    if (!account) return check_error(account.error());
    check(may_stand_in_a_header(account->authorization));
    for (const std::string& url : {account->api_url, account->download_url}) {
        check(url.starts_with("https://") && may_stand_in_a_header(url));
        check(!url.ends_with('/'));
    }
    const auto bucket = allowed_bucket(*account, "pixelfox-dev");
    if (!bucket) check_error(bucket.error());
    if (bucket && *bucket) check(may_stand_in_a_header(**bucket));
    const auto prefix = allowed_prefix(*account, "a/");
    if (!prefix) return check_error(prefix.error());
    check(prefix->starts_with("a/"));
    const B2Request last =
        get_download_authorization(*account, "b1", *prefix, std::chrono::hours(1));
    check(last.body.find('\n') == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view body(reinterpret_cast<const char*>(data), size);
    read_account(body);
    const auto id = parse_bucket_list(body, "pixelfox-dev");
    id ? check(may_stand_in_a_header(*id)) : check_error(id.error());
    const auto token = parse_download_authorization(body, "b1", "a/");
    token ? check(may_stand_in_a_header(*token)) : check_error(token.error());
    return 0;
}
