#include "proxy/serve/access_log.h"

#include "conf/log.h"
#include "conf/small_file.h"
#include "proxy/serve/edge.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <iterator>

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tidepool::serve {

namespace {

// Longer texts of a request are cut: the log's size is not the client's to choose.
constexpr std::size_t kMaxText = 1024;

Result<int> open_log(const std::string& path) {
    // Closed on exec like any other, so that successors do not collect one each.
    if (path == "-") return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    conf::make_last_folder(path);
    // O_NONBLOCK: a pipe that nobody reads is an error, not a wait. Writing to one may wait.
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
    if (fd < 0) return fail_errno(errno, "access_log.path " + path);
    fcntl(fd, F_SETFL, O_APPEND);
    return fd;
}

bool is_same_file(int one, int other) {
    struct stat first{};
    struct stat second{};
    return fstat(one, &first) == 0 && fstat(other, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

// What stands in a line as it is.
constexpr std::array<bool, 256> clean_table() {
    std::array<bool, 256> table{};
    for (std::size_t c = 0x20; c < 0x7F; ++c)
        table[c] = c != '"' && c != '\\';
    return table;
}
constexpr std::array<bool, 256> kClean = clean_table();

// Copies text, stretch by stretch, and calls `escape` for each byte that is not clean.
template <class Escape>
void append_escaped(std::string& out, std::string_view text, const Escape& escape) {
    text = text.substr(0, kMaxText);
    while (true) {
        const auto* end = std::ranges::find_if_not(
            text, [](char c) { return kClean[static_cast<unsigned char>(c)]; });
        const auto clean = static_cast<std::size_t>(end - text.begin());
        out.append(text.substr(0, clean));
        if (clean == text.size()) return;
        escape(text[clean]);
        text.remove_prefix(clean + 1);
    }
}

// A JSON string's inside. Bytes beyond ASCII are written one by one as U+0080..U+00FF: what came
// may be no UTF-8, and the line must be JSON whatever came.
void append_json(std::string& out, std::string_view text) {
    append_escaped(out, text, [&out](char c) {
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(c);
        } else {
            fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned char>(c));
        }
    });
}

void append_combined(std::string& out, std::string_view text) {
    if (text.empty()) out.push_back('-');
    append_escaped(out, text, [&out](char c) {
        fmt::format_to(std::back_inserter(out), "\\x{:02X}", static_cast<unsigned char>(c));
    });
}

// Lines are put together by hand and not by format strings: a log must not cost more than the
// answer.
void append_number(std::string& out, std::uint64_t value) {
    const fmt::format_int digits(value);
    out.append(digits.data(), digits.size());
}

// A query may hold a signature or token, and a log is read by more people than may have that.
std::string_view without_query(std::string_view url) {
    return url.substr(0, url.find('?'));
}

std::string_view protocol_of(const http::RequestHead& head) {
    if (head.major_version == 2) return "HTTP/2.0";
    return head.minor_version == 0 ? "HTTP/1.0" : "HTTP/1.1";
}

std::uint64_t count_lines(std::string_view text) {
    return static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
}

}  // namespace

AccessLogWriter::AccessLogWriter(AccessLog& log, std::size_t buffer_bytes,
                                 std::string client_header)
    : log_(log),
      ring_(buffer_bytes),
      client_header_(std::move(client_header)),
      format_(log.settings_.format) {}

void AccessLogWriter::change(conf::AccessLogSettings::Format format, std::string client_header) {
    format_ = format;
    client_header_ = std::move(client_header);
}

void AccessLogWriter::stamp() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    const auto millisecond = static_cast<unsigned>(now.tv_nsec / 1'000'000);
    if (millisecond != millisecond_) {
        millisecond_ = millisecond;
        millisecond_text_ = fmt::format(".{:03}", millisecond);
    }
    if (now.tv_sec == second_) return;
    second_ = now.tv_sec;
    const std::tm utc = fmt::gmtime(second_);
    iso_second_ = fmt::format("{:%Y-%m-%dT%H:%M:%S}", utc);
    combined_second_ = fmt::format("{:%d/%b/%Y:%H:%M:%S} +0000", utc);
}

void AccessLogWriter::format_json(const http::Exchange& exchange) {
    const http::RequestHead& head = exchange.head;
    const auto text = [&](std::string_view name, std::string_view value) {
        if (value.empty()) return;
        line_ += ",\"";
        line_ += name;
        line_ += "\":\"";
        append_json(line_, value);
        line_.push_back('"');
    };
    const auto number = [&](std::string_view name, std::uint64_t value) {
        line_ += name;
        append_number(line_, value);
    };
    line_ += "{\"time\":\"";
    line_ += iso_second_;
    line_ += millisecond_text_;
    line_ += "Z\"";
    if (exchange.peer.is_unix) {
        text("client", "unix");
    } else {
        const conf::IpAddress client = client_address(head, exchange.peer, client_header_);
        text("client", client.text());
        if (!(client == exchange.peer.address)) text("peer", exchange.peer.text());
    }
    text("ray", head.single(http::Known::cf_ray));
    if (head.major_version == 2) text("protocol", protocol_of(head));
    text("method", head.method_text);
    text("path", head.path);
    number(",\"status\":", static_cast<unsigned>(exchange.status));
    number(",\"bytes\":", exchange.body_bytes_sent);
    number(",\"ttfb_us\":", exchange.first_byte_us);
    number(",\"time_us\":", exchange.total_us);
    line_ += ",\"source\":\"";
    line_ += name(exchange.source);
    line_.push_back('"');
    if (!exchange.whole) line_ += ",\"broken\":true";
    text("range", head.single(http::Known::range));
    text("host", head.single(http::Known::host));
    text("referer", without_query(head.single(http::Known::referer)));
    text("agent", head.single(http::Known::user_agent));
    line_ += "}\n";
}

void AccessLogWriter::format_combined(const http::Exchange& exchange) {
    const http::RequestHead& head = exchange.head;
    line_ +=
        exchange.peer.is_unix ? "unix" : client_address(head, exchange.peer, client_header_).text();
    line_ += " - - [";
    line_ += combined_second_;
    line_ += "] \"";
    append_combined(line_, head.method_text);
    line_.push_back(' ');
    append_combined(line_, head.path);
    line_.push_back(' ');
    line_ += protocol_of(head);
    line_ += "\" ";
    append_number(line_, static_cast<unsigned>(exchange.status));
    line_.push_back(' ');
    append_number(line_, exchange.body_bytes_sent);
    line_ += " \"";
    append_combined(line_, without_query(head.single(http::Known::referer)));
    line_ += "\" \"";
    append_combined(line_, head.single(http::Known::user_agent));
    line_ += "\"\n";
}

void AccessLogWriter::write(const http::Exchange& exchange) {
    stamp();
    line_.clear();
    if (format_ == conf::AccessLogSettings::Format::json) {
        format_json(exchange);
    } else {
        format_combined(exchange);
    }
    lines_.fetch_add(1, std::memory_order_relaxed);
    const std::size_t half = ring_.capacity() / 2;
    const bool was_below_half = ring_.used() < half;
    if (!ring_.push(line_)) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
    } else if (was_below_half && ring_.used() >= half) {
        log_.wake_early();
    }
}

AccessLog::AccessLog(const conf::AccessLogSettings& settings, int fd)
    : settings_(settings), fd_(fd) {}

Result<std::unique_ptr<AccessLog>> AccessLog::open(const conf::AccessLogSettings& settings,
                                                   unsigned loops,
                                                   const std::string& client_header) {
    const auto fd = open_log(settings.path);
    if (!fd) return std::unexpected(fd.error());
    std::unique_ptr<AccessLog> log(new AccessLog(settings, *fd));
    for (unsigned i = 0; i < loops; ++i) {
        log->writers_.push_back(std::make_unique<AccessLogWriter>(
            *log, static_cast<std::size_t>(settings.buffer_bytes), client_header));
    }
    log->thread_ = std::thread([&owner = *log] { owner.write_loop(); });
    return log;
}

AccessLog::~AccessLog() {
    end();
    thread_.join();
    close(fd_);
}

void AccessLog::end() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    early_.notify_one();
}

bool AccessLog::finish(std::chrono::milliseconds patience) {
    end();
    std::unique_lock lock(mutex_);
    return finished_.wait_for(lock, patience, [this] { return all_written_; });
}

void AccessLog::reopen() {
    {
        const std::lock_guard lock(mutex_);
        reopen_ = true;
    }
    early_.notify_one();
}

void AccessLog::write_loop() {
    bool ending = false;
    while (!ending) {
        bool reopen = false;
        {
            // A wake-up that is missed costs no line, only the rest of the interval.
            std::unique_lock lock(mutex_);
            if (!ending_ && !reopen_) early_.wait_for(lock, settings_.flush_interval);
            ending = ending_;
            reopen = std::exchange(reopen_, false);
        }
        // What was written before the signal belongs into the old file.
        for (const auto& writer : writers_)
            write_out(writer->ring_);
        if (!reopen) continue;
        if (const auto fd = open_log(settings_.path)) {
            if (!is_same_file(fd_, *fd)) cut_line_ = false;
            close(fd_);
            fd_ = *fd;
        } else {
            conf::log_error("access log not reopened, the old file is kept reason=\"{}\"",
                            fd.error().text);
        }
    }
    {
        const std::lock_guard lock(mutex_);
        all_written_ = true;
    }
    finished_.notify_all();
}

void AccessLog::write_out(ByteRing& ring) {
    int failure = 0;
    std::uint64_t lost = 0;
    for (std::string_view text : ring.content()) {
        while (failure == 0 && !text.empty()) {
            // Where the disk took half a line and then no more, the next one starts afresh.
            const std::string_view next = cut_line_ ? std::string_view("\n") : text;
            const ssize_t written = ::write(fd_, next.data(), next.size());
            if (written < 0 && errno == EINTR) continue;
            if (written <= 0) {
                failure = written < 0 ? errno : ENOSPC;
                cut_line_ = last_byte_ != '\n';
                break;
            }
            if (!std::exchange(cut_line_, false)) {
                const auto bytes = static_cast<std::size_t>(written);
                last_byte_ = text[bytes - 1];
                ring.release(bytes);
                text.remove_prefix(bytes);
            }
        }
        // What is left is dropped, which ends with a line: the disk may have room again later.
        lost += count_lines(text);
        ring.release(text.size());
    }
    if (lost > 0 && lost_on_disk_.fetch_add(lost, std::memory_order_relaxed) == 0)
        conf::log_error("access log loses lines {}", fail_errno(failure, "write").error().text);
}

std::uint64_t AccessLog::lines() const {
    std::uint64_t total = 0;
    for (const auto& writer : writers_)
        total += writer->lines_.load(std::memory_order_relaxed);
    return total;
}

std::uint64_t AccessLog::dropped() const {
    std::uint64_t total = lost_on_disk_.load(std::memory_order_relaxed);
    for (const auto& writer : writers_)
        total += writer->dropped_.load(std::memory_order_relaxed);
    return total;
}

}  // namespace tidepool::serve
