#include "proxy/http/fetcher.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace tidepool::http {

namespace {

constexpr std::size_t kScratchBytes = 64UL * 1024;
// Shorter than what servers use to wait for the next request.
constexpr std::uint64_t kIdleMs = 55'000;
constexpr std::uint64_t kSweepMs = 10'000;

}  // namespace

std::optional<UrlParts> parse_url(std::string_view url) {
    UrlParts parts;
    std::string_view rest = url;
    if (rest.starts_with("http://")) {
        rest.remove_prefix(7);
    } else if (rest.starts_with("https://")) {
        rest.remove_prefix(8);
        parts.is_secure = true;
    } else {
        return std::nullopt;
    }
    if (std::ranges::any_of(url, [](char each) {
            return static_cast<unsigned char>(each) <= ' ' || each == '\x7f';
        }))
        return std::nullopt;
    const std::size_t path = std::min(rest.find_first_of("/?#"), rest.size());
    parts.authority = rest.substr(0, path);
    parts.target = rest.substr(path);
    parts.origin = url.substr(0, url.size() - parts.target.size());
    if (parts.target.empty()) parts.target = "/";
    if (parts.target.front() != '/' || parts.target.contains('#')) return std::nullopt;

    std::string_view host = parts.authority;
    std::string_view port;
    if (host.contains('@')) return std::nullopt;
    if (host.starts_with('[')) {
        const std::size_t end = host.find(']');
        if (end == host.npos) return std::nullopt;
        port = host.substr(end + 1);
        host = host.substr(1, end - 1);
    } else {
        const std::size_t colon = std::min(host.find(':'), host.size());
        port = host.substr(colon);
        host = host.substr(0, colon);
    }
    if (host.empty()) return std::nullopt;
    parts.host = host;
    parts.port = parts.is_secure ? 443 : 80;
    if (port.empty()) return parts;
    port.remove_prefix(1);
    const auto [stop, error] = std::from_chars(port.data(), port.data() + port.size(), parts.port);
    if (error != std::errc() || stop != port.data() + port.size() || parts.port == 0)
        return std::nullopt;
    return parts;
}

Fetcher::Fetcher(loop::Loop& loop, unsigned connections_per_host)
    : loop_(loop),
      connections_per_host_(connections_per_host),
      scratch_(kScratchBytes),
      sweep_(loop.wheel(), [](void* self) { static_cast<Fetcher*>(self)->sweep(); }, this) {}

Fetcher::~Fetcher() = default;

Fetcher::Origin& Fetcher::origin_of(const UrlParts& url) {
    const auto found = origins_.find(url.origin);
    if (found != origins_.end()) return found->second;
    Origin& origin = origins_[std::string(url.origin)];
    origin.host = url.host;
    origin.port = url.port;
    origin.is_secure = url.is_secure;
    return origin;
}

// Null: there is none.
std::unique_ptr<loop::Stream> Fetcher::take_idle(Origin& origin) {
    while (!origin.idle.empty()) {
        Idle last = std::move(origin.idle.back());
        origin.idle.pop_back();
        if (loop_.now_ms() - last.since_ms < kIdleMs && last.stream->is_quiet())
            return std::move(last.stream);
    }
    return nullptr;
}

// For one that is about to be made.
void Fetcher::make_room(Origin& origin) {
    if (!origin.idle.empty() && origin.running + origin.idle.size() > connections_per_host_)
        origin.idle.erase(origin.idle.begin());
}

void Fetcher::keep(Origin& origin, std::unique_ptr<loop::Stream> stream) {
    if (origin.is_secure) stream->save_session(origin.session);
    origin.idle.push_back({std::move(stream), loop_.now_ms()});
    sweep_.set(loop_.now_ms() + kSweepMs);
}

// Closes connections that were not used for long, or that the origin has ended.
void Fetcher::sweep() {
    bool some_are_left = false;
    for (auto& [name, origin] : origins_) {
        std::erase_if(origin.idle, [this](const Idle& each) {
            return loop_.now_ms() - each.since_ms >= kIdleMs || !each.stream->is_quiet();
        });
        some_are_left = some_are_left || !origin.idle.empty();
    }
    if (some_are_left) sweep_.set(loop_.now_ms() + kSweepMs);
}

}  // namespace tidepool::http
