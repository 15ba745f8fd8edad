#include "proxy/serve/zone_api.h"

#include "conf/quote.h"
#include "storage/streams.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

using Milliseconds = std::chrono::milliseconds;

// What takedowns find left however much is only old: seldom as calls for tags are, one that came
// behind others would wait for minutes. The smallest plan's own bucket holds 25 of these.
constexpr double kKeptForTakedowns = 2;
constexpr unsigned kTagCallsAtOnce = 5;

storage::HttpLimits zone_limits(Milliseconds timeout) {
    return {.connect_timeout = timeout,
            .stall_timeout = std::chrono::ceil<std::chrono::seconds>(timeout),
            .kept_connections = 4};
}

std::int64_t wall_ms() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<Milliseconds>(now).count();
}

std::optional<std::int64_t> age_of(std::string_view text) {
    std::int64_t age_s = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), age_s);
    if (error != std::errc() || text.empty() || end != text.data() + text.size())
        return std::nullopt;
    return age_s;
}

Error zone_fault(std::string_view what, const storage::HttpFault& fault) {
    const bool is_time = fault.fault == storage::TransportFault::timed_out ||
                         fault.fault == storage::TransportFault::stalled;
    return {is_time ? ErrorKind::timed_out : ErrorKind::io,
            fmt::format("{}: {}", what, conf::printable(fault.text))};
}

// The URL to ask instead, and the host that it is asked for: "http://127.0.0.1:1/a.jpg" and
// "images.example" of "https://images.example/a.jpg".
std::pair<std::string, std::string> asked_at(const std::string& base, std::string_view url) {
    const std::size_t scheme = url.find("://");
    if (scheme == url.npos) return {std::string(url), ""};
    const std::string_view rest = url.substr(scheme + 3);
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    return {base + std::string(rest.substr(slash)), std::string(rest.substr(0, slash))};
}

}  // namespace

ZoneApi::ZoneApi(const conf::PurgeSettings& settings)
    : settings_(settings),
      http_(zone_limits(settings.timeout)),
      url_pace_(settings.calls_per_minute),
      tag_pace_(settings.tag_calls_per_minute,
                std::min(settings.tag_calls_per_minute, kTagCallsAtOnce)) {}

std::size_t ZoneApi::items_per_call(ZoneItem::Kind kind) const {
    return kind == ZoneItem::Kind::url ? settings_.urls_per_call : settings_.tags_per_call;
}

CallPace& ZoneApi::pace_of(ZoneItem::Kind kind) {
    return kind == ZoneItem::Kind::url ? url_pace_ : tag_pace_;
}

std::int64_t ZoneApi::wait_for_turn(ZoneItem::Kind kind, Milliseconds longest, bool is_takedown) {
    const double kept = is_takedown ? 0 : kKeptForTakedowns;
    const auto until = CallPace::Clock::now() + longest;
    std::unique_lock lock(mutex_);
    while (true) {
        const auto now = CallPace::Clock::now();
        const Milliseconds wait = pace_of(kind).take(now, kept);
        if (wait.count() == 0 && !stopped_) return 0;
        if (stopped_ || now + wait > until)
            return std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(wait).count());
        stopping_.wait_for(lock, wait, [this] { return stopped_.load(); });
    }
}

std::expected<void, ZoneFailure> ZoneApi::purge(std::span<const ZoneItem> items) {
    const std::string body = purge_body(items);
    storage::MemorySource source(body);
    const storage::StoreRequest request{
        .method = "POST",
        .url = fmt::format("{}/zones/{}/purge_cache", settings_.api_url, settings_.zone_id),
        .headers = {{"authorization", "Bearer " + settings_.api_token.reveal()},
                    {"content-type", "application/json"}}};
    auto answer =
        http_.perform(request, {.upload = &source, .upload_size = body.size(), .stop = &stopped_});
    std::expected<void, ZoneFailure> outcome;
    if (!answer) {
        outcome = std::unexpected(
            ZoneFailure{.error = zone_fault("the edge's API is not reached", answer.error())});
    } else {
        outcome = read_zone_answer(answer->status, answer->body, answer->header("retry-after"),
                                   std::time(nullptr));
    }
    if (!outcome) {
        // A wrong host may send back what it was sent.
        Error& error = outcome.error().error;
        conf::hide(error.text, settings_.api_token.reveal());
        if (error.kind == ErrorKind::overloaded && error.store) {
            const std::lock_guard lock(mutex_);
            pace_of(items.front().kind)
                .hold_until(CallPace::Clock::now() + error.store->retry_after);
        }
    }
    count(outcome);
    return outcome;
}

void ZoneApi::count(const std::expected<void, ZoneFailure>& outcome) {
    Met met = Met::done;
    if (!outcome) {
        const ErrorKind kind = outcome.error().error.kind;
        met = outcome.error().is_of_an_item      ? Met::refused
              : kind == ErrorKind::denied        ? Met::denied
              : kind == ErrorKind::misconfigured ? Met::denied
              : kind == ErrorKind::overloaded    ? Met::limited
                                                 : Met::failed;
    }
    ++calls_.at(static_cast<std::size_t>(met));
}

// By HEAD: what the edge has to fetch for it, it fetches whole, and keeps.
Result<EdgeGlance> ZoneApi::look(const storage::VisitorUrl& url) {
    storage::StoreRequest request{.method = "HEAD", .url = url.url};
    if (!settings_.verify_url.empty()) {
        auto [asked, host] = asked_at(settings_.verify_url, url.url);
        request.url = std::move(asked);
        request.headers.push_back({"host", std::move(host)});
    }
    if (!url.origin.empty()) request.headers.push_back({"origin", url.origin});
    const auto answer = http_.perform(request, {.stop = &stopped_});
    if (!answer)
        return std::unexpected(
            zone_fault(fmt::format("{}: the edge is not reached", url.url), answer.error()));
    return EdgeGlance{.status = answer->status,
                      .cache_status = std::string(answer->header("cf-cache-status")),
                      .age_s = age_of(answer->header("age")),
                      .at_ms = wall_ms()};
}

void ZoneApi::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
    }
    stopping_.notify_all();
}

}  // namespace tidepool::serve
