// Local files as what a driver reads from and writes to.
#pragma once

#include "conf/digest.h"
#include "storage/driver.h"
#include "transform/content_type.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tidepool::cli {

// A file that is put. Owns its descriptor. Where it is cut or grows meanwhile, the length that
// size() said no longer fits and the put fails.
class FileSource : public storage::ByteSource {
  public:
    // A regular file, else ErrorKind::invalid.
    static Result<FileSource> open(const std::string& path);
    FileSource(FileSource&& other) noexcept;
    FileSource& operator=(FileSource&&) = delete;
    FileSource(const FileSource&) = delete;
    FileSource& operator=(const FileSource&) = delete;
    ~FileSource() override;

    std::uint64_t size() const { return size_; }
    // Its first bytes, for finding out what it is.
    Result<transform::ContentLook> look();

    Result<std::size_t> read(std::span<char> into) override;
    Result<void> rewind() override;

  private:
    FileSource(std::string path, int fd, std::uint64_t size);

    std::string path_;
    int fd_;
    std::uint64_t size_;
};

// Computes what a content is while it passes; keeps nothing but its first bytes.
class LookSink : public storage::ByteSink {
  public:
    Result<void> write(std::span<const char> bytes) override;

    std::uint64_t size() const { return size_; }
    // Once, when all has passed.
    conf::Sha256Digest digest() { return sha256_.finish(); }
    transform::ContentLook look() const { return transform::look_at(beginning_); }

  private:
    conf::Sha256 sha256_;
    std::uint64_t size_ = 0;
    std::vector<char> beginning_;  // at most transform::kSniffBytes
};

// Writes to a file that has its name only once commit() was called, or to standard output ("-").
class FileSink : public storage::ByteSink {
  public:
    static Result<std::unique_ptr<FileSink>> open(const std::string& path);
    ~FileSink() override;
    FileSink(const FileSink&) = delete;
    FileSink& operator=(const FileSink&) = delete;

    Result<void> write(std::span<const char> bytes) override;
    // The file is durable and has its name.
    Result<void> commit();

    std::uint64_t size() const { return look_.size(); }
    conf::Sha256Digest digest() { return look_.digest(); }

  private:
    FileSink(std::string path, std::string temporary, int fd);

    std::string path_;
    std::string temporary_;  // "" once it has its name, and for standard output
    int fd_;
    LookSink look_;
};

}  // namespace tidepool::cli
