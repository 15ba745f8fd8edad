// Bodies from buckets: from the shelf, from a fetch that is going on, or from one that begins.
#pragma once

#include "conf/settings.h"
#include "proxy/http/fetch.h"
#include "proxy/http/range.h"
#include "proxy/http/response.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/loop/worker_pool.h"
#include "proxy/serve/fill.h"
#include "proxy/serve/fill_reader.h"
#include "proxy/serve/remote_pool.h"
#include "storage/shelf.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

namespace tidepool::serve {

// Shared by all loops; must outlive them. However many ask for the same bytes, on any loop, they
// are fetched once (one Fill per object, or per slice of one).
//
// A whole object, or one no larger than a slice, is fetched as a whole. Of larger ones a range
// fetches the slices that it touches, which others share, the next one while one is being sent.
// Without a shelf a range is fetched as it is asked for.
class Origin {
  public:
    // Told on some loop when the fetch of a whole object, or of a part, has ended.
    using Filled = std::function<void(const RemoteObject&, FillEnd)>;

    // `shelf` may be null; else `shelf_workers` make its blocking calls. Both outlive this.
    Origin(const conf::OriginSettings& settings, std::uint64_t slice_bytes, storage::Shelf* shelf,
           loop::WorkerPool* shelf_workers)
        : settings_(settings),
          slice_bytes_(slice_bytes),
          shelf_(shelf),
          shelf_workers_(shelf_workers) {}

    void on_filled(Filled filled) { filled_ = std::move(filled); }

    // Where an answer is made.
    struct Place {
        loop::Loop& loop;
        http::Fetcher& fetcher;
    };
    // A stretch of the object, once its first bytes can be sent. `cdn_loop` is the request's.
    loop::Task<Result<std::shared_ptr<http::Incoming>>> open(
        Place place, std::shared_ptr<const RemoteObject> object, Stretch stretch,
        std::string cdn_loop);

    // True of several ranges of an object of this size for which much more would be fetched than is
    // asked for: so many small ones that lie apart, of which each costs a slice, and a call. Nobody
    // but who wants that asks so (RFC 9110, 14.2).
    bool are_scattered(std::span<const http::ByteRange> ranges, std::uint64_t size) const;

    // Ends all that is being fetched, failed. Any thread; their loops must still run.
    void give_up_all();

    std::size_t fills() const;

  private:
    class ObjectReader;
    friend class ObjectReader;

    enum class Shelved : std::uint8_t { is_better, is_unreadable };
    std::shared_ptr<FillReader> join_or_start(Place place,
                                              const std::shared_ptr<const RemoteObject>& object,
                                              Stretch stretch, std::optional<std::uint64_t> slice,
                                              std::uint64_t offset, const std::string& cdn_loop,
                                              Shelved shelved);
    bool is_shelved(const RemoteObject& object, Stretch stretch,
                    std::optional<std::uint64_t> slice) const;
    std::shared_ptr<Fill> make_fill(Place place, const std::shared_ptr<const RemoteObject>& object,
                                    Stretch stretch, std::optional<std::uint64_t> slice,
                                    const std::string& cdn_loop, const std::string& name,
                                    std::shared_ptr<const Fill::Beginning> beginning = nullptr);
    void forget(const std::string& name, std::uint64_t number);

    const conf::OriginSettings settings_;
    const std::uint64_t slice_bytes_;
    storage::Shelf* const shelf_;
    loop::WorkerPool* const shelf_workers_;
    Filled filled_;

    struct Running {
        std::weak_ptr<Fill> fill;
        std::uint64_t number = 0;  // tells it from a later one of the same name
    };
    mutable std::mutex mutex_;
    std::unordered_map<std::string, Running> running_;
    std::uint64_t next_number_ = 0;
};

}  // namespace tidepool::serve
