#include "proxy/serve/variant_claims.h"

#include "conf/log.h"
#include "conf/random_name.h"

#include <chrono>
#include <utility>
#include <vector>

namespace tidepool::serve {

namespace {

constexpr std::int64_t kLeaseMs = 15'000;
constexpr std::uint64_t kRenewMs = 5'000;

std::int64_t wall_clock_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::string work_of(const std::string& key) {
    return "variant " + key;
}

}  // namespace

VariantClaims::VariantClaims(loop::Loop& loop, Stores& stores)
    : loop_(loop), stores_(stores), owner_(conf::random_name()) {}

loop::Task<bool> VariantClaims::ask(const std::string& key) {
    const auto claimed =
        co_await loop::offload(loop_, stores_.catalog_workers(), loop::Lane::quick, [&] {
            const std::int64_t now_ms = wall_clock_ms();
            return stores_.catalog()->claim(work_of(key), owner_, now_ms, now_ms + kLeaseMs);
        });
    if (!claimed) conf::log_warn("not claimed key={} reason=\"{}\"", key, claimed.error().text);
    co_return claimed.value_or(true);
}

loop::Task<bool> VariantClaims::take(std::string key) {
    if (stores_.catalog() == nullptr) co_return true;
    if (!co_await ask(key)) co_return false;
    held_.insert(std::move(key));
    if (!std::exchange(renewing_, true)) loop_.tasks().spawn(renew(*this));
    co_return true;
}

loop::Task<> VariantClaims::let_go(std::string key) {
    if (stores_.catalog() == nullptr || held_.erase(key) == 0) co_return;
    co_await release(key);
    if (held_.empty() && pause_ != nullptr) {
        loop_.post([this] {
            if (held_.empty() && pause_ != nullptr) pause_->cut();
        });
    }
}

loop::Task<> VariantClaims::release(const std::string& key) {
    const auto released =
        co_await loop::offload(loop_, stores_.catalog_workers(), loop::Lane::quick,
                               [&] { return stores_.catalog()->release(work_of(key), owner_); });
    // Then it runs out.
    if (!released)
        conf::log_warn("claim not released key={} reason=\"{}\"", key, released.error().text);
}

// Ends when nothing is held, so that it holds up no loop that is to end.
loop::Task<> VariantClaims::renew(VariantClaims& self) {
    while (!self.held_.empty()) {
        loop::Loop::Delay pause(self.loop_, kRenewMs);
        self.pause_ = &pause;
        co_await pause;
        self.pause_ = nullptr;
        const std::vector<std::string> keys(self.held_.begin(), self.held_.end());
        for (const std::string& key : keys) {
            if (!self.held_.contains(key)) continue;
            if (!co_await self.ask(key)) conf::log_warn("claim lost key={}", key);
            if (self.held_.contains(key)) continue;
            co_await self.release(key);                            // it was let go of meanwhile
            if (self.held_.contains(key)) co_await self.ask(key);  // and taken again
        }
    }
    self.renewing_ = false;
}

}  // namespace tidepool::serve
