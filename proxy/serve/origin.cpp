#include "proxy/serve/origin.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

// Fetches of an answer beyond those of what is asked for. A reader of an archive or a document asks
// for two or three stretches; each may lie across the border of two slices.
constexpr std::uint64_t kMostFetchesBeside = 4;

storage::ShelfName shelf_name(const RemoteObject& object, Stretch stretch,
                              std::optional<std::uint64_t> slice) {
    return {object.pool->settings.name, object.key, object.version(), slice, stretch.length};
}

}  // namespace

// One answer's way through an object: piece by piece, each from the shelf or from a fill.
class Origin::ObjectReader final : public http::Incoming {
  public:
    ObjectReader(Origin& origin, Place place, std::shared_ptr<const RemoteObject> object,
                 Stretch stretch, std::string cdn_loop)
        : origin_(origin),
          place_(place),
          object_(std::move(object)),
          stretch_(stretch),
          cdn_loop_(std::move(cdn_loop)) {}

    View look(std::uint64_t offset) override;
    loop::Task<bool> more(std::uint64_t offset) override;

    // Waits until look() gives something, or says why it will not.
    loop::Task<std::optional<Error>> advance(std::uint64_t offset);

  private:
    bool is_in_piece(std::uint64_t offset) const {
        return offset >= piece_.offset && offset < piece_.end();
    }
    std::optional<std::uint64_t> slice_at(std::uint64_t offset) const;
    Stretch piece_at(std::uint64_t offset) const;
    loop::Task<> open_piece(std::uint64_t offset);
    loop::Task<bool> open_from_shelf(std::uint64_t offset);
    void fetch_ahead();

    Origin& origin_;
    const Place place_;
    const std::shared_ptr<const RemoteObject> object_;
    const Stretch stretch_;
    const std::string cdn_loop_;

    Stretch piece_;  // that is being sent; one of the two has it
    std::shared_ptr<storage::OpenFile> file_;
    std::shared_ptr<FillReader> reader_;
    std::shared_ptr<FillReader> next_;  // keeps the fetch of the next piece wanted
};

http::Incoming::View Origin::ObjectReader::look(std::uint64_t offset) {
    View view;
    if (!is_in_piece(offset)) return view;
    if (reader_) return reader_->look(offset);
    view.bytes = piece_.end() - offset;
    view.file = file_;
    view.file_offset = offset - piece_.offset;
    view.readers = origin_.shelf_workers_;
    return view;
}

loop::Task<bool> Origin::ObjectReader::more(std::uint64_t offset) {
    const std::optional<Error> error = co_await advance(offset);
    co_return !error;
}

loop::Task<std::optional<Error>> Origin::ObjectReader::advance(std::uint64_t offset) {
    while (true) {
        if (!is_in_piece(offset)) co_await open_piece(offset);
        if (file_) co_return std::nullopt;
        std::optional<Error> error = co_await reader_->wait(offset);
        if (!error) co_return std::nullopt;
        const bool left_behind = error->kind == ErrorKind::overloaded && !error->store;
        if (!left_behind) co_return error;
        // It is too slow for those that it shared the fetch with: the rest by one of its own, which
        // proves what it had before too.
        piece_ = {offset, piece_.end() - offset};
        const auto fill = origin_.make_fill(place_, object_, piece_, std::nullopt, cdn_loop_, {},
                                            reader_->beginning(offset));
        reader_ = fill->join(place_.loop, offset);
        fill->launch();
    }
}

std::optional<std::uint64_t> Origin::ObjectReader::slice_at(std::uint64_t offset) const {
    const bool whole = stretch_.length == object_->size || object_->size <= origin_.slice_bytes_;
    if (whole || origin_.shelf_ == nullptr) return std::nullopt;
    return offset / origin_.slice_bytes_;
}

Stretch Origin::ObjectReader::piece_at(std::uint64_t offset) const {
    if (const auto slice = slice_at(offset)) {
        const std::uint64_t start = *slice * origin_.slice_bytes_;
        return {start, std::min(origin_.slice_bytes_, object_->size - start)};
    }
    if (object_->size <= origin_.slice_bytes_ && origin_.shelf_ != nullptr)
        return {0, object_->size};
    return stretch_;
}

loop::Task<> Origin::ObjectReader::open_piece(std::uint64_t offset) {
    file_.reset();
    reader_.reset();
    piece_ = piece_at(offset);
    const auto slice = slice_at(offset);
    bool found = co_await open_from_shelf(offset);
    if (!found) {
        reader_ = origin_.join_or_start(place_, object_, piece_, slice, offset, cdn_loop_,
                                        Shelved::is_better);
        if (!reader_) found = co_await open_from_shelf(offset);  // it has just come
    }
    if (!found && !reader_) {
        reader_ = origin_.join_or_start(place_, object_, piece_, slice, offset, cdn_loop_,
                                        Shelved::is_unreadable);
    }
    if (reader_) next_.reset();
    fetch_ahead();
}

loop::Task<bool> Origin::ObjectReader::open_from_shelf(std::uint64_t offset) {
    const auto slice = slice_at(offset);
    const bool is_whole = piece_.length == object_->size;
    if (origin_.shelf_ == nullptr || (!slice && !is_whole)) co_return false;
    const storage::ShelfName name = shelf_name(*object_, piece_, slice);
    auto found = co_await loop::offload(place_.loop, *origin_.shelf_workers_, loop::Lane::bulk,
                                        [&] { return origin_.shelf_->find(name); });
    if (!found) co_return false;  // also where it cannot be read: the origin has it
    file_ = std::move(*found);
    co_return true;
}

void Origin::ObjectReader::fetch_ahead() {
    const std::uint64_t next = piece_.end();
    const auto slice = slice_at(next);
    if (!slice || next >= stretch_.end()) return;
    const Stretch piece = piece_at(next);
    next_ =
        origin_.join_or_start(place_, object_, piece, slice, next, cdn_loop_, Shelved::is_better);
}

// ---- what is being fetched

loop::Task<Result<std::shared_ptr<http::Incoming>>> Origin::open(
    Place place, std::shared_ptr<const RemoteObject> object, Stretch stretch,
    std::string cdn_loop) {
    auto reader = std::make_shared<ObjectReader>(*this, place, std::move(object), stretch,
                                                 std::move(cdn_loop));
    std::optional<Error> error = co_await reader->advance(stretch.offset);
    if (error) co_return std::unexpected(std::move(*error));
    co_return std::shared_ptr<http::Incoming>(std::move(reader));
}

bool Origin::are_scattered(std::span<const http::ByteRange> ranges, std::uint64_t size) const {
    if (ranges.size() < 2 || (shelf_ != nullptr && size <= slice_bytes_)) return false;
    std::vector<http::ByteRange> in_order(ranges.begin(), ranges.end());
    std::ranges::sort(in_order, {}, &http::ByteRange::first);
    std::uint64_t asked = 0;
    std::uint64_t slices = 0;
    std::uint64_t next = 0;  // that is not counted
    for (const http::ByteRange& range : in_order) {
        asked += range.length;
        const std::uint64_t first = std::max(range.first / slice_bytes_, next);
        next = std::max((range.end() - 1) / slice_bytes_ + 1, next);
        slices += next - std::min(first, next);
    }
    const std::uint64_t fetches = shelf_ != nullptr ? slices : ranges.size();
    return fetches > asked / slice_bytes_ + kMostFetchesBeside;
}

bool Origin::is_shelved(const RemoteObject& object, Stretch stretch,
                        std::optional<std::uint64_t> slice) const {
    const bool can_be = shelf_ != nullptr && (slice || stretch.length == object.size);
    return can_be && shelf_->holds(shelf_name(object, stretch, slice));
}

// Null where it is on the shelf, and that is to be read instead. A fetch that ends is on the shelf
// before it is forgotten here, so under the lock one of the two has it.
std::shared_ptr<FillReader> Origin::join_or_start(Place place,
                                                  const std::shared_ptr<const RemoteObject>& object,
                                                  Stretch stretch,
                                                  std::optional<std::uint64_t> slice,
                                                  std::uint64_t offset, const std::string& cdn_loop,
                                                  Shelved shelved) {
    const std::string name =
        fmt::format("{}\n{}\n{}\n{}-{}", object->pool->settings.name, object->key,
                    object->version(), stretch.offset, stretch.length);
    std::shared_ptr<Fill> fill;
    std::shared_ptr<FillReader> reader;
    {
        const std::lock_guard lock(mutex_);
        const auto found = running_.find(name);
        if (found != running_.end()) {
            if (const auto known = found->second.fill.lock())
                reader = known->join(place.loop, offset);
        }
        if (reader) return reader;
        if (shelved == Shelved::is_better && is_shelved(*object, stretch, slice)) return nullptr;
        fill = make_fill(place, object, stretch, slice, cdn_loop, name);
        reader = fill->join(place.loop, offset);
        running_[name] = {fill, next_number_};
    }
    fill->launch();
    return reader;
}

// With a `name` the lock is held, and the fill is forgotten by it when it has ended.
std::shared_ptr<Fill> Origin::make_fill(Place place,
                                        const std::shared_ptr<const RemoteObject>& object,
                                        Stretch stretch, std::optional<std::uint64_t> slice,
                                        const std::string& cdn_loop, const std::string& name,
                                        std::shared_ptr<const Fill::Beginning> beginning) {
    const std::uint64_t number = name.empty() ? 0 : ++next_number_;
    auto ended = [this, object, name, number](FillEnd end) {
        if (!name.empty()) forget(name, number);
        if (filled_) filled_(*object, std::move(end));
    };
    Fill::Means means{.loop = place.loop,
                      .fetcher = place.fetcher,
                      .settings = settings_,
                      .shelf = name.empty() ? nullptr : shelf_,
                      .shelf_workers = shelf_workers_,
                      .cdn_loop = cdn_loop};
    return std::make_shared<Fill>(std::move(means), object, stretch, slice, std::move(ended),
                                  std::move(beginning));
}

void Origin::forget(const std::string& name, std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    const auto found = running_.find(name);
    if (found != running_.end() && found->second.number == number) running_.erase(found);
}

void Origin::give_up_all() {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, running] : running_) {
        if (const auto fill = running.fill.lock()) fill->give_up();
    }
}

std::size_t Origin::fills() const {
    const std::lock_guard lock(mutex_);
    return running_.size();
}

}  // namespace tidepool::serve
