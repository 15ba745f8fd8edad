// How much uploads may take of the spool's disk, on which as a rule the catalog lies, too
// (invariant 7).
#pragma once

#include "conf/error.h"
#include "conf/settings.h"
#include "storage/catalog.h"
#include "storage/spool.h"

#include <cstddef>
#include <cstdint>
#include <expected>
#include <list>
#include <mutex>
#include <string>
#include <utility>

namespace tidepool::upload {

// Any thread. Uploads in pieces count by the catalog, for they outlive us; what is held here is
// added: forms, and uploads in pieces until the catalog has them. For a moment such a one counts
// twice, so that it never counts less than once. All that is pointed at outlives it; calls block.
class SpoolRoom {
  public:
    SpoolRoom(const conf::UploadSettings& settings, const storage::Spool& spool)
        : settings_(settings), spool_(spool) {}

  private:
    struct Claim {
        std::string owner;  // of an upload in pieces; "" = it is none
        std::uint64_t bytes = 0;
    };
    using Claims = std::list<Claim>;

  public:
    // Bytes that are kept for an upload until this goes.
    class Held {
      public:
        Held(SpoolRoom& room, Claims::iterator claim) : room_(&room), claim_(claim) {}
        ~Held() {
            if (room_ != nullptr) room_->let_go(claim_);
        }
        Held(Held&& other) noexcept
            : room_(std::exchange(other.room_, nullptr)), claim_(other.claim_) {}
        Held& operator=(Held&&) = delete;

      private:
        SpoolRoom* room_;
        Claims::iterator claim_;
    };
    enum class Full : std::uint8_t {
        of_all,  // upload.spool_size or upload.spool_min_free: it passes
        // upload.resumable_per_owner, or three quarters of upload.spool_size
        of_owner,
    };
    using Kept = std::expected<Held, Full>;

    // For a form, while it runs. Errors are those of the disk and of the catalog.
    Result<Kept> hold(storage::Catalog& catalog, std::uint64_t bytes);
    // For a new upload in pieces, until the catalog has it.
    Result<Kept> hold_resumable(storage::Catalog& catalog, const std::string& owner,
                                std::uint64_t bytes);
    // Whether the disk takes so much more, above what is to stay free.
    Result<bool> has_free(std::uint64_t bytes) const;

  private:
    Result<Kept> keep(storage::Catalog& catalog, Claim claim);
    void let_go(Claims::iterator claim);

    const conf::UploadSettings& settings_;
    const storage::Spool& spool_;
    std::mutex mutex_;
    Claims claims_;
};

}  // namespace tidepool::upload
