#include "proxy/serve/variant_maker.h"

#include "conf/log.h"
#include "storage/image_key.h"
#include "storage/local_driver.h"
#include "storage/streams.h"
#include "transform/content_type.h"
#include "transform/make.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <sys/stat.h>

namespace tidepool::serve {

namespace {

// Names that are remembered as not to be made. Beyond them all are tried again.
constexpr std::size_t kMostFailures = 10'000;
// An original that was changed so short a time ago may still be on its way.
constexpr std::int64_t kSettleS = 3;

std::uint64_t milliseconds(conf::Milliseconds duration) {
    return static_cast<std::uint64_t>(duration.count());
}

// "uploads/original/2026/02/25/UUID.jpg" for a variant's key. Nothing where that has another form.
std::optional<std::string> original_key(const storage::ImageKey& variant,
                                        std::string_view extension) {
    if (variant.day.empty() || !variant.image || variant.role != storage::Role::variant)
        return std::nullopt;
    return fmt::format("{}original/{}/{}.{}", variant.prefix, variant.day,
                       storage::to_text(*variant.image), extension);
}

bool may_be_on_its_way(const storage::OpenFile& file) {
    return !file.unchanged() || file.identity().modified_s() + kSettleS > std::time(nullptr);
}

std::shared_ptr<const storage::OpenFile> open_file(MadeVariant made) {
    struct stat status{};
    fstat(made.file.get(), &status);  // of a memory file: it cannot fail
    return std::make_shared<storage::OpenFile>(made.file.release(),
                                               storage::FileIdentity::of(status), 0);
}

}  // namespace

// Somebody who waits, on a loop of their own.
struct VariantMaker::Waiter {
    explicit Waiter(loop::Loop& its_loop) : loop(its_loop) {}
    loop::Loop& loop;
    loop::Loop::Delay* delay = nullptr;
};

struct VariantMaker::Flight {
    std::mutex mutex;
    bool landed = false;
    Outcome outcome;
    std::vector<std::shared_ptr<Waiter>> waiters;
};

struct VariantMaker::Original {
    FileFinder::Site* site = nullptr;
    std::shared_ptr<const storage::OpenFile> file;
};

VariantMaker::VariantMaker(loop::Loop& home, FileFinder& finder, const conf::Settings& settings)
    : home_(home),
      finder_(finder),
      settings_(settings),
      key_prefix_(settings.server.url_prefix.substr(1)),
      workers_(home, VariantWorkers::options_of(settings.variants)),
      readers_("w:unstored", 1, settings.workers.queue) {}

VariantMaker::~VariantMaker() = default;

std::optional<transform::Order> VariantMaker::order_of(std::string_view key) const {
    const storage::ImageKey parsed = storage::parse_image_key(key);
    if (!original_key(parsed, "")) return std::nullopt;
    // "UUID_.webp" has an empty size as "UUID.webp" has, and is no name of ours.
    if (parsed.size.empty() && key.find("_.") != key.npos) return std::nullopt;
    return transform::find_order(settings_, parsed.size, parsed.extension);
}

std::optional<Error> VariantMaker::remembered_failure(const std::string& key,
                                                      std::uint64_t now_ms) {
    const auto known = failures_.find(key);
    if (known == failures_.end()) return std::nullopt;
    if (now_ms < known->second.until_ms) return known->second.error;
    failures_.erase(known);
    return std::nullopt;
}

// What is wrong with the original now will be so when it is asked for again.
void VariantMaker::remember(const std::string& key, const Error& error, std::uint64_t now_ms) {
    const bool lasts = error.kind == ErrorKind::corrupt || error.kind == ErrorKind::too_large;
    if (!lasts && error.kind != ErrorKind::not_found) return;
    const auto duration = lasts ? settings_.variants.failed_for : settings_.cache.freshness;
    if (failures_.size() >= kMostFailures) failures_.clear();
    failures_[key] = {error, now_ms + milliseconds(duration)};
}

loop::Task<VariantMaker::Outcome> VariantMaker::make(loop::Loop& loop, std::string key) {
    std::shared_ptr<Flight> flight;
    bool first = false;
    {
        const std::lock_guard lock(mutex_);
        if (auto failure = remembered_failure(key, loop.now_ms()))
            co_return Outcome{std::move(failure), nullptr, {}};
        auto& slot = flights_[key];
        first = slot == nullptr;
        if (first) slot = std::make_shared<Flight>();
        flight = slot;
    }
    if (first) {
        home_.post([this, key, flight] { home_.tasks().spawn(fly(*this, key, flight)); });
    }
    const auto waiter = std::make_shared<Waiter>(loop);
    loop::Loop::Delay delay(loop, milliseconds(settings_.variants.wait_timeout));
    {
        const std::lock_guard lock(flight->mutex);
        if (flight->landed) co_return flight->outcome;
        waiter->delay = &delay;
        flight->waiters.push_back(waiter);
    }
    co_await delay;
    waiter->delay = nullptr;
    const std::lock_guard lock(flight->mutex);
    if (flight->landed) co_return flight->outcome;
    co_return Outcome{Error{ErrorKind::timed_out, "the variant is not ready yet"}, nullptr, {}};
}

void VariantMaker::land(const std::string& key, Flight& flight, Outcome outcome) {
    {
        const std::lock_guard lock(mutex_);
        if (outcome.error) remember(key, *outcome.error, home_.now_ms());
        flights_.erase(key);
    }
    std::vector<std::shared_ptr<Waiter>> waiters;
    {
        const std::lock_guard lock(flight.mutex);
        flight.landed = true;
        flight.outcome = std::move(outcome);
        waiters.swap(flight.waiters);
    }
    for (const auto& waiter : waiters) {
        waiter->loop.post([waiter] {
            if (waiter->delay != nullptr) waiter->delay->cut();
        });
    }
}

loop::Task<> VariantMaker::fly(VariantMaker& self, std::string key,
                               std::shared_ptr<Flight> flight) {
    Outcome outcome = co_await self.make_and_store(key);
    if (outcome.error && outcome.error->kind != ErrorKind::not_found) {
        conf::log_warn("variant not made key={} reason=\"{}\"", key, outcome.error->text);
    }
    self.land(key, *flight, std::move(outcome));
}

loop::Task<VariantMaker::Outcome> VariantMaker::make_and_store(const std::string& key) {
    const auto order = order_of(key);
    if (!order) co_return Outcome{Error{ErrorKind::not_found, "no profile has it"}, nullptr, {}};
    const transform::Recipe& recipe = order->recipe;
    const auto original = co_await find_original(key, *order);
    if (!original) co_return Outcome{original.error(), nullptr, {}};
    const auto lane = co_await lane_of(*original, recipe);
    if (!lane) co_return Outcome{lane.error(), nullptr, {}};
    auto made = co_await workers_.make(*lane, original->file->fd(), original->file->identity().size,
                                       recipe);
    const bool is_broken = !made && made.error().kind == ErrorKind::corrupt;
    if ((made && !original->file->unchanged()) || (is_broken && may_be_on_its_way(*original->file)))
        co_return Outcome{Error{ErrorKind::busy, "the original is being written"}, nullptr, {}};
    if (!made) co_return Outcome{made.error(), nullptr, {}};
    const auto variant = open_file(std::move(*made));
    const auto stored = co_await store(*original, key, variant, type_of(recipe.format));
    if (!stored) {
        store_failures_.add();
        conf::log_error("variant not stored key={} reason=\"{}\"", key, stored.error().text);
        co_return Outcome{std::nullopt, variant, recipe.format};
    }
    stored_.add();
    finder_.cache().forget(key);
    co_return Outcome{std::nullopt, nullptr, recipe.format};
}

// As FileFinder asks pools: one that fails does not hide what another one has, but without a find
// nobody may be told that there is none.
loop::Task<Result<VariantMaker::Original>> VariantMaker::find_original(
    const std::string& key, const transform::Order& order) {
    const storage::ImageKey parsed = storage::parse_image_key(key);
    const auto sites = finder_.sites();
    std::optional<Error> failure;
    for (const std::string& extension : order.original_extensions) {
        const auto wanted = original_key(parsed, extension);
        if (!wanted) continue;
        for (FileFinder::Site* const site : *sites) {
            auto file = co_await loop::offload(home_, site->workers, loop::Lane::quick,
                                               [&] { return site->pool.open(*wanted); });
            if (file) co_return Original{site, std::move(*file)};
            const ErrorKind kind = file.error().kind;
            if (kind != ErrorKind::not_found && kind != ErrorKind::denied)
                failure = std::move(file.error());
        }
    }
    if (failure) co_return std::unexpected(std::move(*failure));
    co_return fail(ErrorKind::not_found, "no local pool has its original");
}

loop::Task<Result<VariantLane>> VariantMaker::lane_of(const Original& original,
                                                      const transform::Recipe& recipe) {
    co_return co_await loop::offload(
        home_, original.site->workers, loop::Lane::bulk, [&]() -> Result<VariantLane> {
            std::array<char, transform::kSniffBytes> bytes{};
            const auto size = std::min<std::uint64_t>(bytes.size(), original.file->identity().size);
            const std::span<char> beginning(bytes.data(), static_cast<std::size_t>(size));
            if (auto read = original.file->read(0, beginning); !read)
                return std::unexpected(std::move(read.error()));
            return transform::is_dear(beginning, recipe) ? VariantLane::dear : VariantLane::cheap;
        });
}

// Its row in the catalog is written when it is found, as that of every file.
loop::Task<Result<void>> VariantMaker::store(
    const Original& original, const std::string& key,
    const std::shared_ptr<const storage::OpenFile>& variant, std::string_view type) {
    co_return co_await loop::offload(
        home_, original.site->workers, loop::Lane::bulk, [&]() -> Result<void> {
            storage::LocalDriver driver(original.site->settings, key_prefix_);
            storage::FileSource source(variant);
            storage::PutOptions options;
            options.size = variant->identity().size;
            options.content_type = type;
            auto put = driver.put(key, source, options);
            if (!put) return std::unexpected(std::move(put.error()));
            return {};
        });
}

}  // namespace tidepool::serve
