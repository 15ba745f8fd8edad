// The plain sources and sinks of objects' content.
#pragma once

#include "storage/driver.h"
#include "storage/open_file.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace tidepool::storage {

// Reads text that outlives it.
class MemorySource final : public ByteSource {
  public:
    explicit MemorySource(std::string_view content) : content_(content), rest_(content) {}
    Result<std::size_t> read(std::span<char> into) override {
        const std::size_t size = rest_.copy(into.data(), into.size());
        rest_.remove_prefix(size);
        return size;
    }
    Result<void> rewind() override {
        rest_ = content_;
        return {};
    }

  private:
    std::string_view content_;
    std::string_view rest_;
};

// Reads a file that was opened, up to the size it had then.
class FileSource final : public ByteSource {
  public:
    explicit FileSource(std::shared_ptr<const OpenFile> file) : file_(std::move(file)) {}
    Result<std::size_t> read(std::span<char> into) override {
        const std::uint64_t rest = file_->identity().size - offset_;
        into = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), rest)));
        if (auto done = file_->read(offset_, into); !done) return std::unexpected(done.error());
        offset_ += into.size();
        return into.size();
    }
    Result<void> rewind() override {
        offset_ = 0;
        return {};
    }

  private:
    std::shared_ptr<const OpenFile> file_;
    std::uint64_t offset_ = 0;
};

// Takes the bytes for their digest alone.
class HashingSink final : public ByteSink {
  public:
    Result<void> write(std::span<const char> bytes) override {
        hash_.update(bytes);
        bytes_ += bytes.size();
        return {};
    }
    std::uint64_t bytes() const { return bytes_; }
    conf::Sha256Digest finish() { return hash_.finish(); }

  private:
    conf::Sha256 hash_;
    std::uint64_t bytes_ = 0;
};

// Keeps at most `limit` bytes; more are ErrorKind::overloaded.
class MemorySink final : public ByteSink {
  public:
    explicit MemorySink(std::size_t limit) : limit_(limit) {}
    Result<void> write(std::span<const char> bytes) override {
        if (bytes.size() > limit_ - content_.size())
            return fail(ErrorKind::overloaded, "the object is larger than it may be here");
        content_.append(bytes.data(), bytes.size());
        return {};
    }
    const std::string& content() const { return content_; }

  private:
    std::size_t limit_;
    std::string content_;
};

}  // namespace tidepool::storage
