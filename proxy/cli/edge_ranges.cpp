#include "conf/cidr.h"
#include "conf/quote.h"
#include "conf/small_file.h"
#include "conf/trusted_ranges.h"
#include "proxy/cli/edge.h"
#include "proxy/cli/safe_way.h"
#include "proxy/cli/workspace.h"
#include "proxy/edge/range_list.h"
#include "storage/s3_http.h"

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace tidepool::cli {

namespace {

constexpr std::string_view kPublisher = "https://api.cloudflare.com/client/v4/ips";
constexpr std::size_t kListBytes = std::size_t{256} * 1024;  // it is less than one KiB
constexpr std::chrono::seconds kFetchTime{30};

bool is_web(std::string_view source) {
    return source.starts_with("https://") || source.starts_with("http://");
}

// Who can change the list on its way can have anybody believed.
Result<std::string> fetch_list(const std::string& url) {
    if (!is_safe_way(url))
        return fail(ErrorKind::invalid, url + ": a list of whom to believe comes by https://");
    const auto until = std::chrono::steady_clock::now() + kFetchTime;
    std::string text;
    storage::HttpExchange exchange;
    exchange.take = [&](const storage::HttpAnswer&, std::span<const char> bytes) -> Result<void> {
        if (text.size() + bytes.size() > kListBytes)
            return fail(ErrorKind::too_large, "the answer is longer than a list of ranges");
        if (std::chrono::steady_clock::now() > until)
            return fail(ErrorKind::timed_out, "the answer takes longer than 30 s");
        text.append(bytes.data(), bytes.size());
        return {};
    };
    storage::S3Http client(
        {.connect_timeout = std::chrono::seconds(10), .stall_timeout = std::chrono::seconds(15)});
    const auto answer = client.perform({.method = "GET", .url = url}, exchange);
    if (!answer) {
        const storage::HttpFault& fault = answer.error();
        return fail(ErrorKind::io, url + ": " + (fault.ours ? fault.ours->text : fault.text));
    }
    if (answer->status != 200)
        return fail(ErrorKind::io, fmt::format("{}: status {}, not 200", url, answer->status));
    return text;
}

// What all sources say together, each named with the etag of its list.
Result<std::vector<conf::Cidr>> gather_ranges(const std::vector<std::string>& sources,
                                              std::vector<std::string>& names) {
    std::vector<conf::Cidr> ranges;
    for (const std::string& source : sources) {
        const auto text =
            is_web(source) ? fetch_list(source) : conf::read_small_file(source, kListBytes);
        if (!text) return std::unexpected(text.error());
        const auto published = edge::read_published(*text, source);
        if (!published) return std::unexpected(published.error());
        ranges.insert(ranges.end(), published->ranges.begin(), published->ranges.end());
        names.push_back(published->etag.empty()
                            ? source
                            : fmt::format("{} (etag {})", source, published->etag));
    }
    if (auto good = edge::check_published(ranges); !good) return std::unexpected(good.error());
    return ranges;
}

Result<std::vector<conf::Cidr>> read_own_ranges(const std::vector<std::string>& texts) {
    std::vector<conf::Cidr> ranges;
    for (const std::string& text : texts) {
        const auto range = conf::Cidr::parse(text);
        if (!range)
            return fail(ErrorKind::invalid, "--also: " + conf::quote(text) + " is no range");
        ranges.push_back(*range);
    }
    return ranges;
}

Result<std::string> file_to_update(const UpdateRangesArguments& arguments) {
    if (!arguments.to.empty()) return arguments.to;
    if (arguments.config.empty())
        return fail(ErrorKind::invalid, "edge update-ranges: -c FILE or --to FILE is needed");
    return conf::find_ranges_file(arguments.config);
}

// None where there is no such file yet.
Result<std::vector<conf::Cidr>> ranges_there(const std::string& path) {
    const auto content = conf::read_small_file(path, kListBytes * 4);
    if (content) return edge::read_ranges_file(*content);
    if (content.error().kind == ErrorKind::not_found) return std::vector<conf::Cidr>{};
    return std::unexpected(content.error());
}

void print_change(const edge::RangeChange& change) {
    for (const conf::Cidr& range : change.added)
        fmt::print("+ {}\n", range.text());
    for (const conf::Cidr& range : change.removed)
        fmt::print("- {}\n", range.text());
}

int write_ranges(const std::string& path, const std::vector<conf::Cidr>& ranges,
                 const std::vector<std::string>& names) {
    const auto written = conf::replace_small_file(path, edge::ranges_file(ranges, names, now_s()));
    if (!written) return failed(written.error());
    fmt::print(
        "{}: {} ranges written. A running server takes them with SIGHUP: systemctl reload "
        "tidepool\n",
        path, ranges.size());
    return 0;
}

}  // namespace

int update_ranges(const UpdateRangesArguments& arguments) {
    const auto path = file_to_update(arguments);
    if (!path) return wrong_use(path.error());
    const auto own = read_own_ranges(arguments.own);
    if (!own) return wrong_use(own.error());
    std::vector<std::string> names;
    auto ranges = gather_ranges(
        arguments.sources.empty() ? std::vector{std::string(kPublisher)} : arguments.sources,
        names);
    const auto old_ranges = ranges_there(*path);
    if (!ranges || !old_ranges) {
        const Error& error = ranges ? old_ranges.error() : ranges.error();
        return failed({error.kind, error.text + "; " + *path + " is as it was"});
    }
    ranges->insert(ranges->end(), own->begin(), own->end());
    *ranges = edge::without_doubles(*ranges);
    const edge::RangeChange change = edge::compare_ranges(*old_ranges, *ranges);
    if (change.empty()) {
        fmt::print("{}: nothing has changed, {} ranges\n", *path, ranges->size());
        return 0;
    }
    print_change(change);
    if (!arguments.is_dry_run) return write_ranges(*path, *ranges, names);
    fmt::print("{}: not written\n", *path);
    return 0;
}

}  // namespace tidepool::cli
