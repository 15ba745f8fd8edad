// Whatever a store, or somebody in its place, answers: nothing breaks, every list is either whole
// or says how it goes on, errors keep to one line, and what we write ourselves is read back.
#include "storage/s3_errors.h"
#include "storage/s3_object.h"
#include "storage/s3_xml.h"
#include "tests/fuzz/check.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

using namespace tidepool;
using namespace tidepool::storage;
using tidepool::fuzz::check;

namespace {

void read_lists(std::string_view body) {
    if (const auto listing = parse_object_listing(body); listing && listing->is_truncated)
        check(!listing->next_token.empty());
    if (const auto listing = parse_version_listing(body); listing && listing->is_truncated)
        check(!listing->next_key.empty());
    if (const auto id = parse_upload_id(body)) check(!id->empty());
    (void)parse_part_listing(body);
    (void)parse_upload_listing(body);
    (void)parse_result_etag(body);
}

void read_error(int status, std::string_view body, std::string_view retry_after) {
    constexpr std::size_t kLongestLine = 2000;  // every byte of 200 written as \xNN, twice
    const StoreFailure failure =
        failure_of({.pool = "p", .key = "k", .method = "GET"},
                   {.status = status, .body = body, .request_id = {}, .retry_after = retry_after});
    const std::string& text = failure.error.text;
    check(text.size() < kLongestLine);
    check(std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20; }));
    check(failure.error.store && failure.error.store->status == status);
    check(failure.error.store->retry_after >= std::chrono::seconds(0));
    if (failure.error.kind == ErrorKind::capped) check(failure.next == NextTry::never);
}

void read_header(std::string_view text) {
    if (const auto range = parse_content_range(text))
        check(range->first <= range->last && range->last < range->total);
    (void)parse_iso_time(text);
    // An ETag of whatever kind comes back as it was.
    std::string etag(text.substr(0, 100));
    if (std::ranges::any_of(etag, [](char c) { return c < ' '; })) return;
    const std::vector<ListedPart> parts{{1, 2, etag}};
    const std::string written = complete_upload_xml(parts);
    check(written.starts_with("<CompleteMultipartUpload><Part>"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    if (input.size() < 2) return 0;
    static constexpr int kStatuses[] = {200, 301, 400, 401, 403, 404, 409, 429, 500, 503};
    const int status = kStatuses[static_cast<unsigned char>(input[0]) % std::size(kStatuses)];
    const std::size_t split = static_cast<unsigned char>(input[1]) % 16;
    const std::string_view rest = input.substr(2);
    read_lists(rest);
    read_error(status, rest, rest.substr(0, split));
    read_header(rest);
    return 0;
}
