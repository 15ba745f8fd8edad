#include "proxy/serve/variant_maker.h"

#include "conf/log.h"
#include "proxy/serve/memory_file.h"
#include "proxy/serve/variant_jobs.h"
#include "transform/dear.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

// Names that are remembered as not to be made, of each kind. Beyond them all are tried again.
constexpr std::size_t kMostFailures = 10'000;
// What is kept of variants that could not be stored.
constexpr std::uint64_t kUnstoredBytes = 64ULL << 20;
constexpr std::uint64_t kUnstoredMs = 60'000;
// Looks at whether another process is done with a variant.
constexpr std::uint64_t kFirstLookMs = 50;
constexpr std::uint64_t kMostLookMs = 1'000;

std::uint64_t count_of(conf::Milliseconds duration) {
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

// Of a catalog or a store: it is no word on what the original is.
Error not_of_the_image(Error error) {
    if (error.kind == ErrorKind::corrupt) error.kind = ErrorKind::io;
    return error;
}

std::string_view extension_of(std::string_view key) {
    return key.substr(key.rfind('.') + 1);
}

VariantLane lane_of(bool is_dear) {
    return is_dear ? VariantLane::dear : VariantLane::cheap;
}

// By its name alone.
VariantLane first_lane_of(std::string_view key) {
    const auto format = transform::format_of_extension(extension_of(key));
    return lane_of(format && transform::is_likely_dear(*format, ""));
}

// As far as it can be said before its bytes are at hand.
VariantLane likely_lane_of(const transform::Recipe& recipe, const Original& original) {
    return lane_of(transform::is_likely_dear(recipe.format, extension_of(original.home.original)) ||
                   transform::is_large(original.bytes(), 0, recipe));
}

Error lane_is_full(VariantLane lane) {
    return {ErrorKind::overloaded,
            fmt::format("too many variants are being made in the {} lane", name_of(lane))};
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
    Outcome outcome;  // before it has landed: what it has come to so far
    bool has_made = false;
    std::string original_extension;  // once that is known
    bool may_move = false;           // the original, as its beginning says
    std::vector<std::shared_ptr<Waiter>> waiters;
    Again again = Again::no;
    Others others = Others::together;
    std::optional<VariantLane> lane;  // where it is counted; guarded by the maker's mutex
};

VariantMaker::VariantMaker(Origin::Place home, FileFinder& finder, Origin& origin,
                           const conf::Settings& settings)
    : home_(home.loop),
      finder_(finder),
      settings_(settings),
      most_in_lane_{std::size_t{settings.variants.cheap_queue} + settings.variants.cheap_workers,
                    std::size_t{settings.variants.dear_queue} + settings.variants.dear_workers},
      workers_(home.loop, VariantWorkers::options_of(settings.variants)),
      source_(home, finder, origin, settings.variants.fetches, settings.variants.source_bytes),
      store_(home.loop, finder, settings),
      claims_(home.loop, finder.stores()),
      readers_("w:unstored", 1, settings.workers.queue),
      inspector_(home.loop, workers_, readers_, transform::limits_of(settings.variants)),
      tallies_(settings.profiles.size() + 1) {}

VariantMaker::~VariantMaker() = default;

void VariantMaker::stop(bool at_once) {
    stopping_.store(true, std::memory_order_relaxed);
    source_.stop();
    inspector_.stop();
    workers_.stop(at_once);
}

bool VariantMaker::is_ordered(std::string_view key) const {
    const auto order = order_of(key);
    return order && order->profile;
}

bool VariantMaker::is_made_at_upload(std::string_view key) const {
    const auto order = order_of(key);
    if (!order || !order->profile) return false;
    const transform::VariantName name{settings_.profiles[*order->profile].name,
                                      std::string(extension_of(key))};
    return std::ranges::any_of(order->original_extensions, [&](const std::string& original) {
        const auto names = transform::variants_of(settings_, original, true);
        return std::ranges::find(names, name) != names.end();
    });
}

std::vector<std::string> VariantMaker::originals_of(std::string_view key) const {
    const auto order = order_of(key);
    std::vector<std::string> originals;
    if (!order) return originals;
    const storage::ImageKey parsed = storage::parse_image_key(key);
    for (const std::string& extension : order->original_extensions)
        originals.push_back(*original_key(parsed, extension));
    return originals;
}

std::optional<transform::Order> VariantMaker::order_of(std::string_view key) const {
    const storage::ImageKey parsed = storage::parse_image_key(key);
    if (!original_key(parsed, "")) return std::nullopt;
    // "UUID_.webp" has an empty size as "UUID.webp" has, and is no name of ours.
    if (parsed.size.empty() && key.find("_.") != key.npos) return std::nullopt;
    auto order = transform::find_order(settings_, parsed.size, parsed.extension);
    if (!order) return std::nullopt;
    // What would not be served is not made either.
    if (!finder_.rules()->allows(type_of(order->recipe.format))) return std::nullopt;
    return order;
}

// ---- who asks, and what is known

const Error* VariantMaker::find_failure(Failures& failures, const std::string& key,
                                        std::uint64_t now_ms) {
    const auto known = failures.find(key);
    if (known == failures.end()) return nullptr;
    if (now_ms < known->second.until_ms) return &known->second.error;
    failures.erase(known);
    return nullptr;
}

std::optional<VariantMaker::Outcome> VariantMaker::known_outcome(const std::string& key,
                                                                 std::uint64_t now_ms,
                                                                 Again again) {
    const Error* failure = find_failure(failures_, key, now_ms);
    if (failure == nullptr) failure = find_failure(absent_, key, now_ms);
    if (failure != nullptr) return Outcome{*failure, nullptr, {}, {}};
    if (again == Again::yes) return std::nullopt;
    if (const Unstored* const unstored = find_unstored(key, now_ms))
        return Outcome{std::nullopt, unstored->file, unstored->format, {}};
    return std::nullopt;
}

// What is wrong with the original now will be so when it is asked for again; what is wrong with
// where it is may not be. What anybody can ask for without end does not push out what costs most.
void VariantMaker::remember(const std::string& key, const Error& error, std::uint64_t now_ms) {
    const bool lasts = error.kind == ErrorKind::corrupt || error.kind == ErrorKind::too_large;
    if (error.store || (!lasts && error.kind != ErrorKind::not_found)) return;
    Failures& failures = lasts ? failures_ : absent_;
    const auto duration = lasts ? settings_.variants.failed_for : settings_.cache.freshness;
    if (failures.size() >= kMostFailures) {
        std::erase_if(failures,
                      [now_ms](const auto& each) { return each.second.until_ms <= now_ms; });
        if (failures.size() >= kMostFailures) failures.clear();
    }
    failures[key] = {error, now_ms + count_of(duration)};
}

const VariantMaker::Unstored* VariantMaker::find_unstored(const std::string& key,
                                                          std::uint64_t now_ms) {
    while (!unstored_.empty() && unstored_.front().until_ms <= now_ms) {
        unstored_bytes_ -= unstored_.front().file->identity().size;
        unstored_.pop_front();
    }
    const auto found = std::ranges::find(unstored_, key, &Unstored::key);
    return found == unstored_.end() ? nullptr : &*found;
}

void VariantMaker::keep_unstored(Unstored variant) {
    std::erase_if(unstored_, [&](const Unstored& known) {
        if (known.key != variant.key) return false;
        unstored_bytes_ -= known.file->identity().size;
        return true;
    });
    unstored_bytes_ += variant.file->identity().size;
    unstored_.push_back(std::move(variant));
    while (unstored_bytes_ > kUnstoredBytes) {
        unstored_bytes_ -= unstored_.front().file->identity().size;
        unstored_.pop_front();
    }
}

loop::Task<VariantMaker::Outcome> VariantMaker::make(loop::Loop& loop, std::string key,
                                                     conf::Milliseconds wait, Again again,
                                                     Others others) {
    std::shared_ptr<Flight> flight;
    bool first = false;
    {
        const std::lock_guard lock(mutex_);
        if (auto known = known_outcome(key, loop.now_ms(), again)) co_return std::move(*known);
        const auto flying = flights_.find(key);
        first = flying == flights_.end();
        flight = first ? std::make_shared<Flight>() : flying->second;
        if (first) {
            const VariantLane lane = first_lane_of(key);
            if (!enter_lane(*flight, lane)) {
                refused_[static_cast<std::size_t>(lane)].add();
                co_return Outcome{lane_is_full(lane), nullptr, {}, {}};
            }
            flights_.emplace(key, flight);
        }
    }
    if (first) {
        flight->again = again;
        flight->others = others;
        home_.post([this, key, flight] { home_.tasks().spawn(fly(*this, key, flight)); });
    }
    const auto waiter = std::make_shared<Waiter>(loop);
    loop::Loop::Delay delay(loop, count_of(wait));
    {
        const std::lock_guard lock(flight->mutex);
        if (flight->landed) co_return flight->outcome;
        waiter->delay = &delay;
        flight->waiters.push_back(waiter);
    }
    co_await delay;
    waiter->delay = nullptr;
    const std::lock_guard lock(flight->mutex);
    std::erase(flight->waiters, waiter);
    if (flight->landed || flight->has_made) co_return flight->outcome;
    co_return Outcome{Error{ErrorKind::timed_out, "the variant is not ready yet"}, nullptr, {}, {}};
}

loop::Task<Result<transform::Inspection>> VariantMaker::inspect_original(std::string key) {
    std::vector<std::string> keys{std::move(key)};
    auto original = co_await source_.find(std::move(keys));
    if (!original) co_return std::unexpected(std::move(original.error()));
    // It takes as long as a variant that keeps the frames.
    const VariantLane likely = lane_of(
        transform::is_likely_dear(transform::Format::webp, extension_of(original->home.original)));
    if (auto brought = co_await source_.bring(*original, likely); !brought)
        co_return std::unexpected(std::move(brought.error()));
    const auto head = co_await head_of(*original);
    if (!head) co_return std::unexpected(head.error());
    const VariantLane lane = lane_of(transform::is_dear(*head, transform::InspectDepth::pixels));
    if (lane != likely) {
        if (auto brought = co_await source_.bring_anew(*original, lane); !brought)
            co_return std::unexpected(std::move(brought.error()));
    }
    co_return co_await inspector_.inspect(home_, original->file, transform::InspectDepth::pixels);
}

std::vector<VariantMaker::StandIn> VariantMaker::stand_ins(const std::string& key) {
    const auto order = order_of(key);
    // Who wrote a size of their own counts on it: no other one is shown in its place.
    if (!order || !order->profile || !settings_.profiles[*order->profile].stand_in) return {};
    std::shared_ptr<Flight> flight;
    {
        const std::lock_guard lock(mutex_);
        const auto flying = flights_.find(key);
        if (flying == flights_.end()) return {};
        flight = flying->second;
    }
    const std::lock_guard lock(flight->mutex);
    if (flight->original_extension.empty()) return {};
    const storage::ImageKey parsed = storage::parse_image_key(key);
    const std::string prefix = *storage::variants_prefix(key);
    const transform::VariantName wanted{std::string(parsed.size), std::string(parsed.extension)};
    std::vector<StandIn> found;
    for (const transform::StandIn& stand_in :
         transform::stand_ins_of(settings_, wanted, flight->original_extension, flight->may_move))
        found.push_back({prefix + stand_in.name.ending(), stand_in.is_quick});
    return found;
}

// ---- a flight

bool VariantMaker::enter_lane(Flight& flight, VariantLane lane) {
    std::size_t& count = in_lane_[static_cast<std::size_t>(lane)];
    if (count >= most_in_lane_[static_cast<std::size_t>(lane)]) return false;
    ++count;
    flight.lane = lane;
    return true;
}

void VariantMaker::leave_lane(Flight& flight) {
    if (!flight.lane) return;
    --in_lane_[static_cast<std::size_t>(*flight.lane)];
    flight.lane.reset();
}

// Where more is known of it now. overloaded: that one is full.
Result<void> VariantMaker::change_lane(Flight& flight, VariantLane lane) {
    const std::lock_guard lock(mutex_);
    if (flight.lane == lane) return {};
    leave_lane(flight);
    if (enter_lane(flight, lane)) return {};
    refused_[static_cast<std::size_t>(lane)].add();
    return std::unexpected(lane_is_full(lane));
}

void VariantMaker::land(const std::string& key, Flight& flight, Outcome outcome) {
    // That is said to who has waited for too long, and to nobody else.
    if (outcome.error && outcome.error->kind == ErrorKind::timed_out && !outcome.error->store)
        outcome.error->kind = ErrorKind::io;
    {
        const std::lock_guard lock(mutex_);
        if (outcome.error) remember(key, *outcome.error, home_.now_ms());
        if (outcome.unstored)
            keep_unstored({key, outcome.unstored, outcome.format, home_.now_ms() + kUnstoredMs});
        leave_lane(flight);
        flights_.erase(key);
    }
    if (outcome.error && outcome.error->kind != ErrorKind::not_found)
        conf::log_warn("variant not made key={} reason=\"{}\"", key, outcome.error->text);
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

// First the original: most of what is asked for without end has none, and costs nobody a claim.
loop::Task<> VariantMaker::fly(VariantMaker& self, std::string key,
                               std::shared_ptr<Flight> flight) {
    auto order = self.order_of(key);
    if (!order) {
        self.land(key, *flight,
                  {Error{ErrorKind::not_found, "no profile has it"}, nullptr, {}, {}});
        co_return;
    }
    auto original = co_await self.source_.find(self.originals_of(key));
    if (!original) {
        self.land(key, *flight, {not_of_the_image(original.error()), nullptr, {}, {}});
        co_return;
    }
    {
        const std::lock_guard lock(flight->mutex);
        flight->original_extension = extension_of(original->home.original);
    }
    const VariantLane lane = likely_lane_of(order->recipe, *original);
    if (auto changed = self.change_lane(*flight, lane); !changed) {
        self.land(key, *flight, {std::move(changed.error()), nullptr, {}, {}});
        co_return;
    }
    if (auto elsewhere = co_await self.wait_for_claim(key)) {
        self.land(key, *flight, std::move(*elsewhere));
        co_return;
    }
    Piece piece{key, std::move(*order), flight, original->home};
    if (auto error = co_await self.make_pieces(piece, std::move(*original)))
        co_await self.land_claimed(key, flight, {std::move(*error), nullptr, {}, {}});
}

// Nothing: it is ours to make. Else what another process made of it, or why it cannot be said.
loop::Task<std::optional<VariantMaker::Outcome>> VariantMaker::wait_for_claim(
    const std::string& key) {
    const bool has_claims = finder_.stores().catalog() != nullptr;
    std::uint64_t pause_ms = kFirstLookMs;
    while (has_claims && !co_await claims_.take(key)) {
        if (stopping_.load(std::memory_order_relaxed))
            co_return Outcome{Error{ErrorKind::closed, "the server ends"}, nullptr, {}, {}};
        co_await home_.delay(pause_ms);
        pause_ms = std::min(pause_ms * 2, kMostLookMs);
        if ((co_await is_stored(key)).value_or(false)) co_return Outcome{};
    }
    // Whoever had it before us may have been done since our request looked, another flight of this
    // process, too.
    auto stored = co_await is_stored(key);
    if (stored && !*stored) co_return std::nullopt;
    if (has_claims) co_await claims_.let_go(key);
    if (stored) co_return Outcome{};
    co_return Outcome{std::move(stored.error()), nullptr, {}, {}};
}

loop::Task<Result<bool>> VariantMaker::is_stored(const std::string& key) {
    FileFinder::Found found = co_await finder_.find_anew(home_, key);
    if (found.error) co_return std::unexpected(std::move(*found.error));
    co_return found.is_there();
}

loop::Task<> VariantMaker::land_claimed(std::string key, std::shared_ptr<Flight> flight,
                                        Outcome outcome) {
    co_await claims_.let_go(key);
    land(key, *flight, std::move(outcome));
}

// Brings the original, and gives its head, which says for certain in which lane it is made.
loop::Task<Result<transform::SourceHead>> VariantMaker::bring(Piece& piece, Original& original,
                                                              VariantLane& lane) {
    const VariantLane likely = likely_lane_of(piece.order.recipe, original);
    if (auto brought = co_await source_.bring(original, likely); !brought)
        co_return std::unexpected(not_of_the_image(std::move(brought.error())));
    auto head = co_await head_of(original);
    if (!head) co_return head;
    {
        const std::lock_guard lock(piece.flight->mutex);
        piece.flight->may_move = transform::may_be_animation(head->beginning);
    }
    lane = lane_of(transform::is_dear(*head, piece.order.recipe));
    if (lane == likely) co_return head;
    if (auto changed = change_lane(*piece.flight, lane); !changed)
        co_return std::unexpected(std::move(changed.error()));
    if (auto brought = co_await source_.bring_anew(original, lane); !brought)
        co_return std::unexpected(not_of_the_image(std::move(brought.error())));
    co_return head;
}

// Has the variant made, with others of the image where they are to be made together. An error:
// nothing was begun.
loop::Task<std::optional<Error>> VariantMaker::make_pieces(Piece& first, Original original) {
    if (first.flight->again == Again::yes) {
        // Not for a pool that is still full.
        if (auto room = co_await store_.require_room(first.home.settings(), 1); !room)
            co_return std::move(room.error());
    }
    VariantLane lane{};
    const auto head = co_await bring(first, original, lane);
    if (!head) co_return head.error();
    std::vector<Piece> pieces;
    pieces.push_back(std::move(first));
    co_await add_others(*head, lane, pieces);
    std::vector<transform::Recipe> recipes;
    for (const Piece& piece : pieces)
        recipes.push_back(piece.order.recipe);
    co_await workers_.make_all(
        lane, original.file->fd(), original.file->identity().size, recipes,
        [&](std::size_t index, Result<MadeVariant> made) {
            const bool is_broken = !made && made.error().kind == ErrorKind::corrupt;
            if ((made && !original.unchanged()) || (is_broken && original.may_be_on_its_way()))
                made = fail(ErrorKind::busy, "the original is being written");
            home_.tasks().spawn(finish(*this, std::move(pieces[index]), std::move(made)));
        });
    co_return std::nullopt;
}

// The image's other variants that its profiles want to be made with any of them, from the same
// decoding: of the same lane, where nobody waits in that, and where no pool has them.
loop::Task<> VariantMaker::add_others(const transform::SourceHead& source, VariantLane lane,
                                      std::vector<Piece>& pieces) {
    const bool is_upload = pieces.front().flight->others == Others::at_upload;
    if (!is_upload && workers_.counters(lane).waiting.load() > 0) co_return;
    const std::string asked = pieces.front().key;
    const Home home = pieces.front().home;
    const std::string prefix = *storage::variants_prefix(asked);
    const std::string extension(extension_of(home.original));
    const auto at_upload = transform::variants_of(settings_, extension, true);
    for (const transform::VariantName& name : transform::variants_of(settings_, extension, false)) {
        if (pieces.size() >= VariantWorkers::kMostAtOnce) co_return;
        std::string key = prefix + name.ending();
        auto order = order_of(key);
        if (!order || !order->profile || key == asked) continue;
        const bool is_wanted = settings_.profiles[*order->profile].together ||
                               (is_upload && std::ranges::find(at_upload, name) != at_upload.end());
        if (!is_wanted) continue;
        if (lane_of(transform::is_dear(source, order->recipe)) != lane) continue;
        const auto is_there = co_await is_stored(key);
        if (!is_there || *is_there) continue;
        auto flight = std::make_shared<Flight>();
        flight->original_extension = extension;
        flight->again = pieces.front().flight->again;
        {
            const std::lock_guard lock(mutex_);
            if (known_outcome(key, home_.now_ms(), Again::no)) continue;
            if (flights_.contains(key)) continue;
            if (!enter_lane(*flight, lane)) co_return;
            flights_.emplace(key, flight);
        }
        if (!co_await claims_.take(key)) {
            // Another process is at it; somebody here may have joined meanwhile.
            home_.tasks().spawn(fly(*this, std::move(key), std::move(flight)));
            continue;
        }
        // Another process may have been done with it just before.
        const auto is_there_now = co_await is_stored(key);
        if (!is_there_now || *is_there_now) {
            Outcome outcome;
            if (!is_there_now) outcome.error = is_there_now.error();
            co_await land_claimed(std::move(key), std::move(flight), std::move(outcome));
            continue;
        }
        pieces.push_back({std::move(key), std::move(*order), std::move(flight), home});
    }
}

loop::Task<> VariantMaker::finish(VariantMaker& self, Piece piece, Result<MadeVariant> made) {
    Outcome outcome;
    if (made) {
        outcome = co_await self.store(piece, std::move(*made));
    } else {
        outcome.error = std::move(made.error());
    }
    co_await self.land_claimed(std::move(piece.key), std::move(piece.flight), std::move(outcome));
}

loop::Task<VariantMaker::Outcome> VariantMaker::store(const Piece& piece, MadeVariant made) {
    const transform::Format format = piece.order.recipe.format;
    const std::size_t profile = piece.order.profile.value_or(settings_.profiles.size());
    Tally& tally = tallies_[profile][static_cast<std::size_t>(format)];
    tally.made.add();
    tally.time_us.add(made.time_us);
    const auto file = open_memory_file(std::move(made.file));
    {
        // Whoever has waited for long enough gets it as it is.
        const std::lock_guard lock(piece.flight->mutex);
        piece.flight->outcome = {std::nullopt, file, format, {}};
        piece.flight->has_made = true;
    }
    {
        const std::lock_guard lock(mutex_);
        leave_lane(*piece.flight);
    }
    const auto stored = co_await store_.put(piece.home, {piece.key, file, type_of(format)});
    if (stored) {
        stored_.add();
        co_return Outcome{std::nullopt, nullptr, format, {}};
    }
    // The image has gone, and this with it.
    if (stored.error().kind == ErrorKind::not_found && !stored.error().store)
        co_return Outcome{stored.error(), nullptr, {}, {}};
    store_failures_.add();
    conf::log_error("variant not stored key={} reason=\"{}\"", piece.key, stored.error().text);
    if (piece.flight->again == Again::no) finder_.stores().queue_job(variant_job(piece.key));
    co_return Outcome{std::nullopt, file, format, stored.error()};
}

loop::Task<Result<transform::SourceHead>> VariantMaker::head_of(const Original& original) {
    const auto read = [file = original.file] { return read_head(*file); };
    if (original.readers == nullptr) co_return read();
    co_return co_await loop::offload_within(home_, *original.readers, loop::Lane::bulk, read);
}

}  // namespace tidepool::serve
