// One line per answered request, written off the loops. A slow or full disk costs lines, which are
// counted, never time.
#pragma once

#include "conf/settings.h"
#include "proxy/http/handler.h"
#include "proxy/serve/byte_ring.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tidepool::serve {

class AccessLog;

// The loop's end: formats a line and puts it into the loop's ring. Loop thread only.
class AccessLogWriter {
  public:
    AccessLogWriter(AccessLog& log, std::size_t buffer_bytes, std::string client_header);

    void write(const http::Exchange& exchange);
    void change(conf::AccessLogSettings::Format format, std::string client_header);

  private:
    friend class AccessLog;

    void format_json(const http::Exchange& exchange);
    void format_combined(const http::Exchange& exchange);
    void stamp();

    AccessLog& log_;
    ByteRing ring_;
    std::string client_header_;
    conf::AccessLogSettings::Format format_;
    std::string line_;          // scratch
    std::int64_t second_ = -1;  // of the two stamps
    std::string iso_second_;
    std::string combined_second_;
    unsigned millisecond_ = 1000;  // of the text: none yet
    std::string millisecond_text_;
    std::atomic<std::uint64_t> lines_ = 0;  // written by the loop, read by metrics
    std::atomic<std::uint64_t> dropped_ = 0;
};

// Owns the file and the thread that writes to it. Outlives its writers' loops.
class AccessLog {
  public:
    // `loops` writers are made at once. Fails where the file cannot be opened.
    static Result<std::unique_ptr<AccessLog>> open(const conf::AccessLogSettings& settings,
                                                   unsigned loops,
                                                   const std::string& client_header);
    // Writes what is left, however long that takes; see finish().
    ~AccessLog();
    AccessLog(const AccessLog&) = delete;
    AccessLog& operator=(const AccessLog&) = delete;

    AccessLogWriter& writer(unsigned loop) { return *writers_[loop]; }

    // Opens the path anew, for log rotation. Any thread. Where that fails the old file is kept, and
    // the log says so.
    void reopen();

    // Once the loops have ended: writes what is left. False where that takes longer than
    // `patience`, as into a pipe that nobody reads; the destructor would then wait on.
    bool finish(std::chrono::milliseconds patience);

    // Lines the loops gave, and of these the ones lost: to a full ring, or to a disk that did not
    // take them.
    std::uint64_t lines() const;
    std::uint64_t dropped() const;

  private:
    friend class AccessLogWriter;

    AccessLog(const conf::AccessLogSettings& settings, int fd);
    void end();
    void write_loop();
    void write_out(ByteRing& ring);
    void wake_early() { early_.notify_one(); }

    conf::AccessLogSettings settings_;
    // Of the writing thread.
    int fd_;
    char last_byte_ = '\n';  // that the file took
    bool cut_line_ = false;  // it took only the beginning of its last line
    std::vector<std::unique_ptr<AccessLogWriter>> writers_;
    std::atomic<std::uint64_t> lost_on_disk_ = 0;

    std::mutex mutex_;
    std::condition_variable early_;
    std::condition_variable finished_;
    bool ending_ = false;
    bool reopen_ = false;
    bool all_written_ = false;  // after ending_
    std::thread thread_;
};

}  // namespace tidepool::serve
