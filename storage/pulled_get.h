// Turns a driver's get(), which pushes, into a source, which is pulled.
#pragma once

#include "storage/driver.h"

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>

namespace tidepool::storage {

// Reads an object through a thread of its own and a buffer of kBufferBytes. Used by one thread; the
// driver outlives it. Its end, or a rewind, ends the transfer.
class PulledGet final : public ByteSource {
  public:
    static constexpr std::size_t kBufferBytes = 1024ULL * 1024;

    PulledGet(Driver& driver, std::string_view key);
    ~PulledGet() override;
    PulledGet(const PulledGet&) = delete;
    PulledGet& operator=(const PulledGet&) = delete;

    // The driver's error, in its place in the content. The transfer starts with the first read.
    Result<std::size_t> read(std::span<char> into) override;
    Result<void> rewind() override;

  private:
    class Pipe;
    void stop();

    Driver& driver_;
    const std::string key_;
    std::unique_ptr<Pipe> pipe_;
    std::thread thread_;
};

}  // namespace tidepool::storage
