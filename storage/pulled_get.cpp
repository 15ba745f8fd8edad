#include "storage/pulled_get.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace tidepool::storage {

// What the two threads share.
class PulledGet::Pipe final : public ByteSink {
  public:
    Result<void> write(std::span<const char> bytes) override {
        while (!bytes.empty()) {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [&] { return closed_ || content_.size() < kBufferBytes; });
            if (closed_) return fail(ErrorKind::closed, "nobody reads any more");
            const std::size_t size = std::min(bytes.size(), kBufferBytes - content_.size());
            content_.append(bytes.data(), size);
            bytes = bytes.subspan(size);
            changed_.notify_all();
        }
        return {};
    }

    Result<std::size_t> read(std::span<char> into) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !content_.empty() || end_; });
        if (content_.empty() && !*end_) return std::unexpected(end_->error());
        const std::size_t size = content_.copy(into.data(), into.size());
        content_.erase(0, size);
        changed_.notify_all();
        return size;
    }

    void finish(Result<void> end) {
        const std::lock_guard lock(mutex_);
        end_ = std::move(end);
        changed_.notify_all();
    }

    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        changed_.notify_all();
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string content_;
    std::optional<Result<void>> end_;
    bool closed_ = false;
};

PulledGet::PulledGet(Driver& driver, std::string_view key) : driver_(driver), key_(key) {}

PulledGet::~PulledGet() {
    stop();
}

Result<std::size_t> PulledGet::read(std::span<char> into) {
    if (!pipe_) {
        pipe_ = std::make_unique<Pipe>();
        thread_ = std::thread([this, &pipe = *pipe_] {
            auto got = driver_.get(key_, {}, pipe);
            pipe.finish(got ? Result<void>() : std::unexpected(std::move(got.error())));
        });
    }
    return pipe_->read(into);
}

Result<void> PulledGet::rewind() {
    stop();
    return {};
}

void PulledGet::stop() {
    if (!pipe_) return;
    pipe_->close();
    thread_.join();
    pipe_.reset();
}

}  // namespace tidepool::storage
