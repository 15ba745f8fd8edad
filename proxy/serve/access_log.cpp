#include "proxy/serve/access_log.h"

#include "conf/log.h"
#include "proxy/serve/edge.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <iterator>

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

namespace tidepool::serve {

namespace {

// Longer texts of a request are cut: the log's size is not the client's to choose.
constexpr std::size_t kMaxText = 1024;

Result<int> open_log(const std::string& path) {
    if (path == "-") return dup(STDOUT_FILENO);
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0) return fail_errno(errno, "access_log.path " + path);
    return fd;
}

// A JSON string's inside. Bytes beyond ASCII are written one by one as U+0080..U+00FF: what came
// may be no UTF-8, and the line must be JSON whatever came.
void append_json(std::string& out, std::string_view text) {
    for (const char c : text.substr(0, kMaxText)) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(c);
        } else if (byte < 0x20 || byte >= 0x7F) {
            fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
        } else {
            out.push_back(c);
        }
    }
}

void append_combined(std::string& out, std::string_view text) {
    if (text.empty()) out.push_back('-');
    for (const char c : text.substr(0, kMaxText)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte >= 0x7F || c == '"' || c == '\\') {
            fmt::format_to(std::back_inserter(out), "\\x{:02X}", byte);
        } else {
            out.push_back(c);
        }
    }
}

// A query may hold a signature or token, and a log is read by more people than may have that.
std::string_view without_query(std::string_view url) {
    return url.substr(0, url.find('?'));
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
    millisecond_ = static_cast<unsigned>(now.tv_nsec / 1'000'000);
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
    auto out = std::back_inserter(line_);
    fmt::format_to(out, "{{\"time\":\"{}.{:03}Z\"", iso_second_, millisecond_);
    if (exchange.peer.is_unix) {
        text("client", "unix");
    } else {
        const conf::IpAddress client = client_address(head, exchange.peer, client_header_);
        text("client", client.text());
        if (!(client == exchange.peer.address)) text("peer", exchange.peer.text());
    }
    text("ray", head.single(http::Known::cf_ray));
    text("method", head.method_text);
    text("path", head.path);
    fmt::format_to(out,
                   ",\"status\":{},\"bytes\":{},\"ttfb_us\":{},\"time_us\":{},\"source\":\"{}\"",
                   exchange.status, exchange.body_bytes_sent, exchange.first_byte_us,
                   exchange.total_us, name(exchange.source));
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
    fmt::format_to(std::back_inserter(line_), " - - [{}] \"", combined_second_);
    append_combined(line_, head.method_text);
    line_.push_back(' ');
    append_combined(line_, head.path);
    fmt::format_to(std::back_inserter(line_), " HTTP/1.{}\" {} {} \"", head.minor_version,
                   exchange.status, exchange.body_bytes_sent);
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
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    early_.notify_one();
    thread_.join();
    close(fd_);
}

void AccessLog::reopen() {
    {
        const std::lock_guard lock(mutex_);
        reopen_ = true;
    }
    early_.notify_one();
}

void AccessLog::write_loop() {
    std::string batch;
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
            writer->ring_.drain(batch);
        write_out(batch);
        if (!reopen) continue;
        if (const auto fd = open_log(settings_.path)) {
            close(fd_);
            fd_ = *fd;
        } else {
            conf::log_error("access log not reopened, the old file is kept reason=\"{}\"",
                            fd.error().text);
        }
    }
}

void AccessLog::write_out(std::string& batch) {
    std::size_t written = 0;
    while (written < batch.size()) {
        const ssize_t count = ::write(fd_, batch.data() + written, batch.size() - written);
        if (count > 0) {
            written += static_cast<std::size_t>(count);
        } else if (count < 0 && errno == EINTR) {
            continue;
        } else {
            const std::uint64_t lost = count_lines(std::string_view(batch).substr(written));
            const bool first = lost_on_disk_.fetch_add(lost, std::memory_order_relaxed) == 0;
            if (first)
                conf::log_error("access log loses lines {}",
                                fail_errno(errno, "write").error().text);
            break;
        }
    }
    batch.clear();
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
