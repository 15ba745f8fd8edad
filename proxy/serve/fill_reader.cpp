#include "proxy/serve/fill_reader.h"

#include <algorithm>
#include <coroutine>
#include <mutex>
#include <string_view>
#include <utility>

namespace tidepool::serve {

// Waits for a byte at a place, or for the end.
class FillReader::Arrival {
  public:
    Arrival(FillReader& reader, std::uint64_t position) : reader_(reader), position_(position) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> waiter) {
        Fill& fill = *reader_.fill_;
        std::coroutine_handle<> room;
        {
            const std::lock_guard lock(fill.mutex_);
            if (position_ < fill.available_ || fill.ended_already_) return false;
            reader_.starved_ = true;
            reader_.position_ = position_;
            fill.waiters_.push_back({&reader_.loop_, waiter, position_});
            room = std::exchange(fill.room_waiter_, nullptr);
        }
        if (room) fill.means_.loop.post(room);
        return true;
    }
    void await_resume() const {
        const std::lock_guard lock(reader_.fill_->mutex_);
        reader_.starved_ = false;
    }

  private:
    FillReader& reader_;
    std::uint64_t position_;
};

FillReader::~FillReader() {
    std::coroutine_handle<> room;
    bool was_last = false;
    {
        const std::lock_guard lock(fill_->mutex_);
        std::erase(fill_->readers_, this);
        room = std::exchange(fill_->room_waiter_, nullptr);
        was_last = fill_->readers_.empty() && !fill_->ended_already_;
    }
    if (room) fill_->means_.loop.post(room);
    if (!was_last) return;
    fill_->means_.loop.post([fill = fill_] {
        if (fill->is_given_up()) fill->end_waits();
    });
}

http::Incoming::View FillReader::look(std::uint64_t offset) {
    View view;
    std::coroutine_handle<> room;
    {
        const std::lock_guard lock(fill_->mutex_);
        position_ = offset - fill_->stretch_.offset;
        room = std::exchange(fill_->room_waiter_, nullptr);
        const std::uint64_t available = fill_->available_;
        if (position_ >= available) {
        } else if (position_ < fill_->spooled_) {
            view.bytes = std::min(available, fill_->spooled_) - position_;
            view.file = fill_->file_;
            view.file_offset = position_;
            view.readers = fill_->means_.shelf_workers;
        } else if (position_ >= fill_->window_start_) {
            auto piece = fill_->window_.begin();
            while ((*piece)->end() <= position_)
                ++piece;
            held_ = *piece;
            view.text = std::string_view(held_->bytes)
                            .substr(position_ - held_->start,
                                    std::min(held_->end(), available) - position_);
            view.bytes = view.text.size();
        }
    }
    if (room) fill_->means_.loop.post(room);
    return view;
}

loop::Task<bool> FillReader::more(std::uint64_t offset) {
    const std::optional<Error> error = co_await wait(offset);
    co_return !error;
}

loop::Task<std::optional<Error>> FillReader::wait(std::uint64_t offset) {
    const std::uint64_t position = offset - fill_->stretch_.offset;
    co_await Arrival(*this, position);
    const std::lock_guard lock(fill_->mutex_);
    if (fill_->error_ && position >= fill_->available_) co_return fill_->error_;
    if (position >= fill_->spooled_ && position < fill_->window_start_)
        co_return Error{ErrorKind::overloaded, "left behind by faster readers"};
    co_return std::nullopt;
}

// It stands in the piece that it holds, or at its end: what it had of later ones it would hold. Or
// it came from the file, and has found nothing behind that.
std::shared_ptr<const Fill::Beginning> FillReader::beginning(std::uint64_t offset) const {
    if (offset == 0) return nullptr;
    const std::uint64_t position = offset - fill_->stretch_.offset;
    auto beginning = std::make_shared<Fill::Beginning>();
    std::shared_ptr<const Fill::Piece> last;
    {
        const std::lock_guard lock(fill_->mutex_);
        beginning->version = fill_->version_;
        last = held_ ? held_ : fill_->file_end_;
    }
    // It was dropped, so that nothing is put behind it any more.
    if (last->before) {
        beginning->digests.emplace(*last->before)
            .update(std::string_view(last->bytes).substr(0, position - last->start));
    }
    return beginning;
}

}  // namespace tidepool::serve
