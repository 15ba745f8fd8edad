// The bytes of a connection that have come and are not yet used up.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace tidepool::http {

// Spare blocks of one loop: an idle connection holds none, so ten thousand of them cost no buffers.
class BlockPool {
  public:
    static constexpr std::size_t kBlockBytes = 8 * 1024;

    std::unique_ptr<char[]> take() {
        if (spare_.empty()) return std::make_unique_for_overwrite<char[]>(kBlockBytes);
        auto block = std::move(spare_.back());
        spare_.pop_back();
        return block;
    }
    void give(std::unique_ptr<char[]> block) {
        if (spare_.size() < kMaxSpare) spare_.push_back(std::move(block));
    }

  private:
    static constexpr std::size_t kMaxSpare = 64;
    std::vector<std::unique_ptr<char[]>> spare_;
};

// Grows by doubling from one block; the owner limits what it lets in. Views into it end with the
// next write or consume.
class ReadBuffer {
  public:
    explicit ReadBuffer(BlockPool& pool) : pool_(pool) {}
    ~ReadBuffer() { release(); }
    ReadBuffer(const ReadBuffer&) = delete;
    ReadBuffer& operator=(const ReadBuffer&) = delete;

    std::string_view view() const { return {data_.get() + begin_, end_ - begin_}; }
    bool empty() const { return begin_ == end_; }

    // Room for at least one more byte.
    struct Room {
        char* data;
        std::size_t bytes;
    };
    Room room() {
        if (!data_) {
            data_ = pool_.take();
            capacity_ = BlockPool::kBlockBytes;
        }
        if (end_ == capacity_) make_room();
        return {data_.get() + end_, capacity_ - end_};
    }
    // For what comes in bulk: room for so many bytes at a time, until the buffer is released.
    void widen(std::size_t bytes) {
        if (capacity_ >= bytes) return;
        auto wider = std::make_unique_for_overwrite<char[]>(bytes);
        const std::size_t used = end_ - begin_;
        if (used > 0) std::memcpy(wider.get(), data_.get() + begin_, used);
        if (data_ && capacity_ == BlockPool::kBlockBytes) pool_.give(std::move(data_));
        data_ = std::move(wider);
        capacity_ = bytes;
        begin_ = 0;
        end_ = used;
    }
    void wrote(std::size_t bytes) { end_ += bytes; }
    void consume(std::size_t bytes) { begin_ += bytes; }

    // Gives the memory back where nothing is left in it.
    void release_if_empty() {
        if (empty()) release();
    }

  private:
    void make_room() {
        const std::size_t used = end_ - begin_;
        if (begin_ > 0) {
            std::memmove(data_.get(), data_.get() + begin_, used);
        } else {
            auto bigger = std::make_unique_for_overwrite<char[]>(capacity_ * 2);
            std::memcpy(bigger.get(), data_.get(), used);
            if (capacity_ == BlockPool::kBlockBytes) pool_.give(std::move(data_));
            data_ = std::move(bigger);
            capacity_ *= 2;
        }
        begin_ = 0;
        end_ = used;
    }
    void release() {
        if (data_ && capacity_ == BlockPool::kBlockBytes) pool_.give(std::move(data_));
        data_.reset();
        begin_ = end_ = capacity_ = 0;
    }

    BlockPool& pool_;
    std::unique_ptr<char[]> data_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace tidepool::http
