#include "storage/s3_http.h"

#include "conf/ascii.h"
#include "storage/s3_xml.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <utility>

#include <curl/curl.h>

namespace tidepool::storage {

namespace {

constexpr long kTransferBytes = 256L * 1024;
constexpr std::size_t kMaxHeaders = 200;
constexpr long kKeptSeconds = 55;  // an idle connection older than this may be dead

struct FreeList {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;  // of other lines, too

void append(HeaderList& list, const std::string& line) {
    curl_slist* longer = curl_slist_append(list.get(), line.c_str());
    if (longer == nullptr) std::abort();  // out of memory
    list.release();                       // it is part of the longer one
    list.reset(longer);
}

HeaderList headers_of(const StoreRequest& request) {
    HeaderList list;
    for (const NamedValue& header : request.headers)
        append(list, header.name + (header.value.empty() ? ";" : ": " + header.value));
    // Else libcurl waits up to a second for a 100 before bodies over 1 MiB.
    append(list, "Expect:");
    return list;
}

// One transfer's state, which libcurl's callbacks see.
struct Transfer {
    const HttpExchange& exchange;
    HttpAnswer answer{};
    std::optional<Error> ours{};
    std::uint64_t uploaded = 0;
};

std::size_t on_read(char* into, std::size_t size, std::size_t count, void* data) {
    auto& transfer = *static_cast<Transfer*>(data);
    const std::uint64_t rest = transfer.exchange.upload_size - transfer.uploaded;
    const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(size * count, rest));
    if (room == 0 || transfer.exchange.upload == nullptr) return 0;
    const auto got = transfer.exchange.upload->read({into, room});
    if (got && *got > 0) {
        transfer.uploaded += *got;
        return *got;
    }
    transfer.ours =
        got ? Error{ErrorKind::corrupt, "the source is shorter than was said"} : got.error();
    return CURL_READFUNC_ABORT;
}

// libcurl sends a body again only from its start: a kept connection had been closed.
int on_seek(void* data, curl_off_t offset, int origin) {
    auto& transfer = *static_cast<Transfer*>(data);
    if (offset != 0 || origin != SEEK_SET || transfer.exchange.upload == nullptr)
        return CURL_SEEKFUNC_FAIL;
    if (auto rewound = transfer.exchange.upload->rewind(); !rewound) {
        transfer.ours = rewound.error();
        return CURL_SEEKFUNC_FAIL;
    }
    transfer.uploaded = 0;
    return CURL_SEEKFUNC_OK;
}

std::string_view without_blanks(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    if (first == text.npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::int64_t time_of(std::string_view text) {
    if (text.empty()) return 0;
    const auto seconds = curl_getdate(std::string(text).c_str(), nullptr);
    return seconds < 0 ? 0 : seconds;
}

void read_status(HttpAnswer& answer, std::string_view line) {
    answer = {};  // a 100 may have come before
    const std::size_t blank = line.find(' ');
    if (blank == line.npos) return;
    std::from_chars(line.data() + blank + 1, line.data() + line.size(), answer.status);
}

std::size_t on_header(char* text, std::size_t size, std::size_t count, void* data) {
    HttpAnswer& answer = static_cast<Transfer*>(data)->answer;
    const std::string_view line(text, size * count);
    const std::size_t colon = line.find(':');
    if (line.starts_with("HTTP/")) {
        read_status(answer, line);
    } else if (colon != line.npos && answer.headers.size() < kMaxHeaders) {
        std::string name = conf::lower_case(line.substr(0, colon));
        const std::string_view value = without_blanks(line.substr(colon + 1));
        if (name == "date") answer.date_s = time_of(value);
        if (name == "last-modified") answer.modified_s = time_of(value);
        answer.headers.push_back({std::move(name), std::string(value)});
    }
    return line.size();
}

std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* data) {
    auto& transfer = *static_cast<Transfer*>(data);
    HttpAnswer& answer = transfer.answer;
    const std::size_t total = size * count;
    answer.received_bytes += total;
    if (transfer.exchange.take && answer.status / 100 == 2) {
        auto taken = transfer.exchange.take(answer, {bytes, total});
        if (taken) return total;
        transfer.ours = taken.error();
        return 0;
    }
    // What is longer is not what we asked for.
    if (answer.body.size() + total > kMaxXmlBytes) return 0;
    answer.body.append(bytes, total);
    return total;
}

// Called about once a second, also while nothing comes.
int on_progress(void* data, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<const std::atomic<bool>*>(data)->load(std::memory_order_relaxed) ? 1 : 0;
}

TransportFault fault_of(CURLcode code, const Transfer& transfer) {
    switch (code) {
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY:
            return TransportFault::resolve;
        case CURLE_COULDNT_CONNECT:
            return TransportFault::connect;
        case CURLE_SSL_CONNECT_ERROR:  // a reset within the handshake is this too
            return TransportFault::connect;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_ISSUER_ERROR:
            return TransportFault::tls;
        case CURLE_OPERATION_TIMEDOUT:
            return transfer.answer.status == 0 ? TransportFault::timed_out
                                               : TransportFault::stalled;
        case CURLE_PARTIAL_FILE:
        case CURLE_GOT_NOTHING:
        case CURLE_RECV_ERROR:
        case CURLE_SEND_ERROR:
        case CURLE_WRITE_ERROR:
        case CURLE_UNSUPPORTED_PROTOCOL:  // what came is not HTTP; URLs of other schemes are no
                                          // pool's
        case CURLE_WEIRD_SERVER_REPLY:
            return TransportFault::cut;
        default:
            return TransportFault::other;
    }
}

void set_method(CURL* handle, const StoreRequest& request, const HttpExchange& exchange) {
    const bool has_body = request.method == "PUT" || request.method == "POST";
    if (has_body) {
        curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(handle, CURLOPT_INFILESIZE_LARGE,
                         static_cast<curl_off_t>(exchange.upload_size));
    } else if (request.method == "HEAD") {
        curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
    }
    if (request.method == "POST" || request.method == "DELETE")
        curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

void set_limits(CURL* handle, const HttpLimits& limits, const HttpExchange& exchange) {
    const auto stall = std::max(limits.stall_timeout, exchange.patience);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
                     static_cast<long>(limits.connect_timeout.count()));
    // Also while nothing is sent and the answer is waited for.
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(limits.min_rate));
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, static_cast<long>(stall.count()));
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);  // we have threads
    curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(handle, CURLOPT_MAXAGE_CONN, kKeptSeconds);
    curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, kTransferBytes);
    curl_easy_setopt(handle, CURLOPT_UPLOAD_BUFFERSIZE, kTransferBytes);
    curl_easy_setopt(handle, CURLOPT_FRESH_CONNECT, exchange.fresh_connection ? 1L : 0L);
}

// What is signed must be what is sent, and to whom.
void set_as_signed(CURL* handle, const StoreRequest& request) {
    curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(handle, CURLOPT_USERAGENT, "tidepool");
}

void set_callbacks(CURL* handle, Transfer& transfer) {
    curl_easy_setopt(handle, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(handle, CURLOPT_READDATA, &transfer);
    curl_easy_setopt(handle, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(handle, CURLOPT_SEEKDATA, &transfer);
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(handle, CURLOPT_HEADERDATA, &transfer);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(handle, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (transfer.exchange.stop == nullptr) return;
    curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(handle, CURLOPT_XFERINFODATA, transfer.exchange.stop);
}

}  // namespace

std::string_view HttpAnswer::header(std::string_view name) const {
    const auto found = std::ranges::find(headers, name, &NamedValue::name);
    return found == headers.end() ? std::string_view() : std::string_view(found->value);
}

std::optional<std::uint64_t> HttpAnswer::length() const {
    const std::string_view text = header("content-length");
    std::uint64_t length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    if (text.empty() || error != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return length;
}

S3Http::S3Http(const HttpLimits& limits) : limits_(limits) {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

S3Http::~S3Http() {
    for (void* handle : idle_)
        curl_easy_cleanup(handle);
}

void* S3Http::borrow() {
    {
        const std::lock_guard lock(mutex_);
        if (!idle_.empty()) {
            void* handle = idle_.back();  // the last used: its connection is the most alive
            idle_.pop_back();
            return handle;
        }
    }
    CURL* handle = curl_easy_init();
    if (handle == nullptr) std::abort();  // out of memory
    return handle;
}

void S3Http::give_back(void* handle) {
    curl_easy_reset(handle);  // keeps the connection, forgets the request
    {
        const std::lock_guard lock(mutex_);
        if (idle_.size() < limits_.kept_connections) {
            idle_.push_back(handle);
            return;
        }
    }
    curl_easy_cleanup(handle);
}

std::expected<HttpAnswer, HttpFault> S3Http::perform(const StoreRequest& request,
                                                     const HttpExchange& exchange) {
    CURL* handle = borrow();
    Transfer transfer{.exchange = exchange};
    const HeaderList headers = headers_of(request);
    std::array<char, CURL_ERROR_SIZE> reason{};
    set_as_signed(handle, request);
    set_method(handle, request, exchange);
    set_limits(handle, limits_, exchange);
    set_callbacks(handle, transfer);
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
    HeaderList connect_to;
    if (!limits_.connect_to.empty()) append(connect_to, "::" + limits_.connect_to);
    curl_easy_setopt(handle, CURLOPT_CONNECT_TO, connect_to.get());
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, reason.data());
    const CURLcode code = curl_easy_perform(handle);
    HttpAnswer& answer = transfer.answer;
    // Behind this connection sits something that is full or broken; it is not used again.
    const bool is_bad = answer.status >= 500 || answer.status == 408;
    is_bad ? curl_easy_cleanup(handle) : give_back(handle);

    if (code == CURLE_OK) return std::move(answer);
    // An answer that came before all was sent: the store refuses, and says why.
    if (!transfer.ours && answer.status >= 300 && !answer.body.empty()) return std::move(answer);
    const char* text = reason[0] != '\0' ? reason.data() : curl_easy_strerror(code);
    return std::unexpected(
        HttpFault{fault_of(code, transfer), text, std::move(transfer.ours), std::move(answer)});
}

}  // namespace tidepool::storage
