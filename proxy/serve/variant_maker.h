// Variants that no pool has yet: made from their originals when they are first asked for, once for
// all who ask, and stored beside the original, from where on they are files like any other.
#pragma once

#include "conf/settings.h"
#include "proxy/http/counters.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/serve/file_finder.h"
#include "proxy/serve/inspector.h"
#include "proxy/serve/origin.h"
#include "proxy/serve/variant_claims.h"
#include "proxy/serve/variant_source.h"
#include "proxy/serve/variant_store.h"
#include "proxy/serve/variant_workers.h"
#include "storage/image_key.h"
#include "storage/open_file.h"
#include "transform/dear.h"
#include "transform/format.h"
#include "transform/inspection.h"
#include "transform/recipe.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tidepool::serve {

// Shared by all loops. The work is led by one of them, its home; the processes are VariantWorkers'.
class VariantMaker {
  public:
    // All outlive it. What the settings say of variants holds until the end.
    VariantMaker(Origin::Place home, FileFinder& finder, Origin& origin,
                 const conf::Settings& settings);
    // The home loop must have ended.
    ~VariantMaker();
    VariantMaker(const VariantMaker&) = delete;
    VariantMaker& operator=(const VariantMaker&) = delete;

    // On the home loop: see VariantWorkers.
    void start() { workers_.start(); }
    void stop(bool at_once);

    // True for a key that a profile has, which anybody may have made. Pure; any thread.
    bool is_ordered(std::string_view key) const;
    // True for a key that a profile has of some original, and whose variant is made when that
    // arrives. Pure; any thread.
    bool is_made_at_upload(std::string_view key) const;
    // The keys that the original of this variant can have; none of what is none. Pure; any thread.
    std::vector<std::string> originals_of(std::string_view key) const;

    struct Outcome {
        std::optional<Error> error;
        // Where it was made and is not stored (yet); null where a pool has it now.
        std::shared_ptr<const storage::OpenFile> unstored;
        transform::Format format{};
        std::optional<Error> store_error{};  // why
    };
    enum class Again : std::uint8_t { no, yes };
    // Which others of its image are made from the same decoding: those of profiles that say
    // `together`, or those that are made at upload, too.
    enum class Others : std::uint8_t { together, at_upload };
    // Makes the variant of this name, or waits for who does, for so long. On any loop. The name
    // says all of what is made, also where no profile has it: who may have that is the caller's to
    // know. With Again::yes what was made but could not be stored is made and stored anew. Errors:
    //   not_found   there is no original, or of this one the variant is not made
    //   corrupt     the original cannot be decoded; remembered for variants.failed_for
    //   too_large   it is beyond a limit; the same
    //   timed_out   not ready within that time; the work goes on
    //   overloaded  as many of its lane are being made, or wait for that, as may
    //   closed and others: not now; with Error::store where a bucket is why
    loop::Task<Outcome> make(loop::Loop& loop, std::string key, conf::Milliseconds wait,
                             Again again = Again::no, Others others = Others::together);

    // What this original is, before anybody counts on it; on any loop, which is the caller's own.
    // See Inspector::inspect.
    loop::Task<Result<transform::Inspection>> inspect(loop::Loop& loop,
                                                      std::shared_ptr<const storage::OpenFile> file,
                                                      transform::InspectDepth depth) {
        return inspector_.inspect(loop, std::move(file), depth);
    }

    // The same of the original of this key, its pixels included, wherever it is. On the home loop.
    // Errors are also those of VariantSource.
    loop::Task<Result<transform::Inspection>> inspect_original(std::string original);

    // What may be shown in place of a variant that is being made, the nearest first; none where its
    // profile says so, or nothing is known of its original yet. Any thread.
    struct StandIn {
        std::string key;
        bool is_quick = false;  // made soon where it is not there either
    };
    std::vector<StandIn> stand_ins(const std::string& key);

    // For reading Outcome::unstored.
    loop::WorkerPool& readers() { return readers_; }
    const conf::VariantSettings& settings() const { return settings_.variants; }

    // Any thread.
    const VariantCounters& counters(VariantLane lane) const { return workers_.counters(lane); }
    // Of one profile, by its number in the settings, and format; the number behind the last one is
    // of what was signed.
    struct Tally {
        http::Counter made;
        http::Counter time_us;  // of workers
    };
    const Tally& tally(std::size_t profile, transform::Format format) const {
        return tallies_[profile][static_cast<std::size_t>(format)];
    }
    const std::vector<conf::VariantProfile>& profiles() const { return settings_.profiles; }
    std::uint64_t stored() const { return stored_.value(); }
    std::uint64_t store_failures() const { return store_failures_.value(); }
    // As its lane had enough to do.
    std::uint64_t refused(VariantLane lane) const {
        return refused_[static_cast<std::size_t>(lane)].value();
    }

  private:
    struct Flight;
    struct Waiter;
    struct Failure {
        Error error;
        std::uint64_t until_ms = 0;
    };
    using Failures = std::unordered_map<std::string, Failure>;
    // What could not be stored, kept for those who ask meanwhile.
    struct Unstored {
        std::string key;
        std::shared_ptr<const storage::OpenFile> file;
        transform::Format format{};
        std::uint64_t until_ms = 0;
    };
    // A variant that is being made of an original that is at hand.
    struct Piece {
        std::string key;
        transform::Order order;
        std::shared_ptr<Flight> flight;
        Home home{};
    };

    std::optional<transform::Order> order_of(std::string_view key) const;
    // These want the lock.
    std::optional<Outcome> known_outcome(const std::string& key, std::uint64_t now_ms, Again again);
    const Unstored* find_unstored(const std::string& key, std::uint64_t now_ms);
    void keep_unstored(Unstored variant);
    static const Error* find_failure(Failures& failures, const std::string& key,
                                     std::uint64_t now_ms);
    void remember(const std::string& key, const Error& error, std::uint64_t now_ms);

    bool enter_lane(Flight& flight, VariantLane lane);
    void leave_lane(Flight& flight);
    Result<void> change_lane(Flight& flight, VariantLane lane);

    void land(const std::string& key, Flight& flight, Outcome outcome);
    loop::Task<> land_claimed(std::string key, std::shared_ptr<Flight> flight, Outcome outcome);
    static loop::Task<> fly(VariantMaker& self, std::string key, std::shared_ptr<Flight> flight);
    loop::Task<std::optional<Outcome>> wait_for_claim(const std::string& key);
    loop::Task<Result<bool>> is_stored(const std::string& key);
    loop::Task<Result<transform::SourceHead>> bring(Piece& piece, Original& original,
                                                    VariantLane& lane);
    loop::Task<std::optional<Error>> make_pieces(Piece& first, Original original);
    loop::Task<> add_others(const transform::SourceHead& source, VariantLane lane,
                            std::vector<Piece>& pieces);
    static loop::Task<> finish(VariantMaker& self, Piece piece, Result<MadeVariant> made);
    loop::Task<Outcome> store(const Piece& piece, MadeVariant made);
    loop::Task<Result<transform::SourceHead>> head_of(const Original& original);

    loop::Loop& home_;
    FileFinder& finder_;
    conf::Settings settings_;  // of variants and profiles; the rest is not looked at
    const std::array<std::size_t, kVariantLanes> most_in_lane_;
    VariantWorkers workers_;
    VariantSource source_;
    VariantStore store_;
    VariantClaims claims_;
    loop::WorkerPool readers_;
    Inspector inspector_;
    std::atomic<bool> stopping_ = false;
    std::vector<std::array<Tally, kVariantFormats>> tallies_;
    http::Counter stored_;
    http::Counter store_failures_;
    std::array<http::Counter, kVariantLanes> refused_;  // written under the lock

    std::mutex mutex_;
    std::unordered_map<std::string, std::shared_ptr<Flight>> flights_;
    // Of these, by lane, those whose variant is not made yet: what looks for its original, waits
    // for another process, for its bytes' turn or for a worker, and what a worker is at. So no lane
    // takes the other's places, nor does storing, which has bounds of its own.
    std::array<std::size_t, kVariantLanes> in_lane_{};
    Failures failures_;              // of originals
    Failures absent_;                // where there is none
    std::deque<Unstored> unstored_;  // the oldest first
    std::uint64_t unstored_bytes_ = 0;
};

}  // namespace tidepool::serve
