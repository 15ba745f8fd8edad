#include "proxy/loop/fetch.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>

#include <curl/curl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tidepool::loop {

namespace {

constexpr std::size_t kIdleHandles = 64;
// libcurl's own buffer of a transfer, and so the largest piece it hands on.
constexpr std::uint64_t kReceiveBytes = 64ULL * 1024;
constexpr std::uint64_t kLeastReceiveBytes = 4ULL * 1024;
constexpr std::uint64_t kUsualHeadBytes = 1024;
constexpr std::size_t kUsualFields = 16;
// An answer's head beyond this, with those before it (100, 103), is nothing that a store sends.
constexpr std::size_t kHeadBytes = 64UL * 1024;

void require(CURLcode result) {
    if (result != CURLE_OK)
        std::abort();  // an option that this libcurl does not have, or no memory
}
void require(CURLMcode result) {
    if (result != CURLM_OK) std::abort();
}

// Once per process; libcurl is never taken down, as nothing outlives it.
void begin_libcurl() {
    static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
    require(done);
}

bool is_blank(char each) {
    return each == ' ' || each == '\t' || each == '\r' || each == '\n';
}

ErrorKind kind_of(CURLcode code, CURL* easy) {
    switch (code) {
        case CURLE_OPERATION_TIMEDOUT:
            return ErrorKind::timed_out;
        case CURLE_UNSUPPORTED_PROTOCOL: {
            // A URL of another scheme, or an answer that is not HTTP (which may be next time).
            long sent_bytes = 0;
            require(curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent_bytes));
            return sent_bytes == 0 ? ErrorKind::misconfigured : ErrorKind::io;
        }
        case CURLE_URL_MALFORMAT:
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_ISSUER_ERROR:
            return ErrorKind::misconfigured;
        default:
            return ErrorKind::io;
    }
}

std::uint32_t epoll_events(int what) {
    switch (what) {
        case CURL_POLL_IN:
            return EPOLLIN;
        case CURL_POLL_OUT:
            return EPOLLOUT;
        default:
            return EPOLLIN | EPOLLOUT;
    }
}

}  // namespace

std::string_view FetchedHead::field(std::string_view name) const {
    const auto found = std::ranges::find(fields, name, [](const auto& each) { return each.first; });
    return found == fields.end() ? std::string_view() : std::string_view(found->second);
}

// ---- what a loop's fetches share

// The sockets of connections are opened and closed here, so they may stay in the loop's set while
// libcurl keeps them for the next request: taking them out and in again costs two calls a request.
struct Fetcher::SocketWatch final : Watcher {
    SocketWatch(Fetcher& its_fetcher, int its_fd, bool its_own)
        : fetcher(its_fetcher), fd(its_fd), own(its_own) {}
    void on_events(std::uint32_t events) override {
        if (!wanted) {  // the origin has ended a connection that is kept
            ignore();
            return;
        }
        int happened = 0;
        if ((events & EPOLLIN) != 0) happened |= CURL_CSELECT_IN;
        if ((events & EPOLLOUT) != 0) happened |= CURL_CSELECT_OUT;
        if ((events & (EPOLLERR | EPOLLHUP)) != 0) happened |= CURL_CSELECT_IN | CURL_CSELECT_ERR;
        fetcher.act(fd, happened);
    }
    void want(std::uint32_t events) {
        wanted = true;
        if (watched == events) return;
        if (watched == 0) {
            fetcher.loop_.watch(fd, events, *this);
        } else {
            fetcher.loop_.rewatch(fd, events);
        }
        watched = events;
    }
    void ignore() {
        wanted = false;
        if (std::exchange(watched, 0) != 0) fetcher.loop_.unwatch(fd);
    }
    Fetcher& fetcher;
    const int fd;
    const bool own;             // opened here, of which libcurl says when it is closed
    bool wanted = false;        // libcurl wants to know
    std::uint32_t watched = 0;  // the events that the loop tells of
};

struct Fetcher::Hooks {
    static curl_socket_t open(void* owner, curlsocktype, curl_sockaddr* address) {
        auto& fetcher = *static_cast<Fetcher*>(owner);
        const int fd =
            ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
        if (fd >= 0) fetcher.watches_[fd] = std::make_unique<SocketWatch>(fetcher, fd, true);
        return fd;
    }
    static int close(void* owner, curl_socket_t fd) {
        static_cast<Fetcher*>(owner)->drop(fd);
        return ::close(fd);
    }
    static int socket(CURL*, curl_socket_t fd, int what, void* owner, void*) {
        auto& fetcher = *static_cast<Fetcher*>(owner);
        const auto found = fetcher.watches_.find(fd);
        if (what != CURL_POLL_REMOVE) {
            auto& watch = found == fetcher.watches_.end() ? fetcher.watches_[fd] : found->second;
            if (!watch) watch = std::make_unique<SocketWatch>(fetcher, fd, false);
            watch->want(epoll_events(what));
        } else if (found != fetcher.watches_.end()) {
            found->second->wanted = false;
            if (!found->second->own) fetcher.drop(fd);
        }
        return 0;
    }
    static int timer(CURLM*, long wait_ms, void* owner) {
        static_cast<Fetcher*>(owner)->set_timer(wait_ms);
        return 0;
    }
    static std::size_t line(char* text, std::size_t size, std::size_t count, void* owner) {
        return static_cast<Fetch*>(owner)->take_line({text, size * count});
    }
    static std::size_t bytes(char* text, std::size_t size, std::size_t count, void* owner) {
        return static_cast<Fetch*>(owner)->take_bytes({text, size * count});
    }
};

Fetcher::Fetcher(Loop& loop, unsigned connections_per_host)
    : loop_(loop),
      connections_per_host_(connections_per_host),
      multi_(nullptr),
      timer_(
          loop, [](void* self) { static_cast<Fetcher*>(self)->act(CURL_SOCKET_TIMEOUT, 0); },
          this) {
    begin_libcurl();
    multi_ = curl_multi_init();
    if (multi_ == nullptr) std::abort();
    const auto limit = static_cast<long>(connections_per_host);
    require(curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Hooks::socket));
    require(curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this));
    require(curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &Hooks::timer));
    require(curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this));
    require(curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, limit));
    require(curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, limit));
}

Fetcher::~Fetcher() {
    for (void* easy : idle_)
        curl_easy_cleanup(easy);
    curl_multi_cleanup(multi_);  // closes its connections, which unwatches them
}

void Fetcher::drop(int fd) {
    const auto found = watches_.find(fd);
    if (found == watches_.end()) return;
    found->second->ignore();
    old_watches_.push_back(std::move(found->second));
    watches_.erase(found);
}

// One that was read to its end before, or a new one; either has all options that never change.
void* Fetcher::take_handle() {
    if (!idle_.empty()) {
        void* easy = idle_.back();
        idle_.pop_back();
        return easy;
    }
    CURL* easy = curl_easy_init();
    if (easy == nullptr) std::abort();
    const auto set = [easy](CURLoption option, auto value) {
        require(curl_easy_setopt(easy, option, value));
    };
    set(CURLOPT_HEADERFUNCTION, &Hooks::line);
    set(CURLOPT_WRITEFUNCTION, &Hooks::bytes);
    set(CURLOPT_OPENSOCKETFUNCTION, &Hooks::open);
    set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
    set(CURLOPT_CLOSESOCKETFUNCTION, &Hooks::close);
    set(CURLOPT_CLOSESOCKETDATA, static_cast<void*>(this));
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PROXY, "");  // whatever the environment says: only settings count
    set(CURLOPT_PATH_AS_IS, 1L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    return easy;
}

Fetcher::Host& Fetcher::host_of(std::string_view url) {
    const std::size_t scheme_end = url.find("://");
    const std::string_view name =
        url.substr(0, scheme_end == url.npos ? url.npos : url.find_first_of("/?#", scheme_end + 3));
    const auto found = hosts_.find(name);
    return found != hosts_.end() ? found->second : hosts_[std::string(name)];
}

void Fetcher::set_timer(long wait_ms) {
    // At once is what it asks for at the start of each request: that needs no timer.
    if (wait_ms == 0) {
        timer_.stop();
        if (!std::exchange(due_now_, true))
            loop_.post([this] {
                due_now_ = false;
                act(CURL_SOCKET_TIMEOUT, 0);
            });
    } else if (wait_ms < 0) {
        timer_.stop();
    } else {
        timer_.start(static_cast<std::uint64_t>(wait_ms));
    }
}

// Called by the loop, so from the bottom of the stack: waiters may be resumed.
void Fetcher::act(int fd, int events) {
    int running = 0;
    curl_multi_socket_action(multi_, fd, events, &running);
    take_finished();
    wake_waiters();
    old_watches_.clear();
}

void Fetcher::take_finished() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        const CURLcode code = message->data.result;
        char* owner = nullptr;
        require(curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &owner));
        auto& fetch = *reinterpret_cast<Fetch*>(owner);
        if (code == CURLE_OK) {
            fetch.end(std::nullopt, true);
        } else {
            fetch.end(Error{kind_of(code, message->easy_handle), curl_easy_strerror(code)});
        }
    }
}

// A waiter may begin, end and destroy fetches, also those that are on the list.
void Fetcher::wake_waiters() {
    while (!news_.empty()) {
        Fetch& fetch = *news_.back();
        news_.pop_back();
        if (fetch.waiter_) std::exchange(fetch.waiter_, nullptr).resume();
    }
}

// ---- one fetch

Fetch::Fetch(Fetcher& fetcher, FetchRequest request, std::size_t buffer_bytes)
    : fetcher_(fetcher),
      host_(fetcher.host_of(request.url)),
      request_(std::move(request)),
      buffer_bytes_(buffer_bytes),
      deadline_(
          fetcher.loop_.wheel(), [](void* self) { static_cast<Fetch*>(self)->time_out(); }, this) {
    if (host_.running < fetcher_.connections_per_host_) {
        begin();
        return;
    }
    // libcurl would let it wait as well, but with a buffer, and as if the origin were slow.
    waiting_ = true;
    host_.waiting.push_back(this);
    expect_within(request_.connect_timeout + request_.first_byte_timeout);
}

void Fetch::begin() {
    waiting_ = false;
    ++host_.running;
    easy_ = fetcher_.take_handle();
    const std::vector<std::string>& fields = request_.fields;
    field_list_ = std::make_unique<curl_slist[]>(fields.size());
    for (std::size_t i = 0; i < fields.size(); ++i) {  // libcurl only reads them
        field_list_[i] = {.data = const_cast<char*>(fields[i].c_str()),
                          .next = i + 1 < fields.size() ? &field_list_[i + 1] : nullptr};
    }
    const auto set = [this](CURLoption option, auto value) {
        require(curl_easy_setopt(easy_, option, value));
    };
    set(CURLOPT_URL, request_.url.c_str());
    set(CURLOPT_HTTPHEADER, fields.empty() ? nullptr : field_list_.get());
    set(CURLOPT_PRIVATE, static_cast<void*>(this));
    set(CURLOPT_HEADERDATA, static_cast<void*>(this));
    set(CURLOPT_WRITEDATA, static_cast<void*>(this));
    const std::uint64_t expected =
        std::min(request_.expected_bytes, kReceiveBytes - kUsualHeadBytes) + kUsualHeadBytes;
    // Refused where the handle still has its last buffer, which happens when its connection had
    // other requests going on (HTTP/2). That one does as well.
    curl_easy_setopt(easy_, CURLOPT_BUFFERSIZE,
                     static_cast<long>(std::max(expected, kLeastReceiveBytes)));
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request_.connect_timeout.count()));
    set(CURLOPT_FRESH_CONNECT, request_.fresh_connection ? 1L : 0L);
    expect_within(request_.connect_timeout + request_.first_byte_timeout);
    const CURLMcode added = curl_multi_add_handle(fetcher_.multi_, easy_);
    if (added != CURLM_OK) end(Error{ErrorKind::io, curl_multi_strerror(added)}, false);
}

Fetch::~Fetch() {
    waiter_ = nullptr;
    if (!ended_) end(std::nullopt);
    std::erase(fetcher_.news_, this);
}

void Fetch::tell() {
    if (waiter_) fetcher_.news_.push_back(this);
}

void Fetch::expect_within(std::chrono::milliseconds wait) {
    deadline_.set(fetcher_.loop_.now_ms() + static_cast<std::uint64_t>(wait.count()));
}

void Fetch::time_out() {
    if (paused_) return;  // it is we who make it wait
    if (waiting_) {
        end(Error{ErrorKind::busy, "no connection of origin.connections became free"});
        fetcher_.wake_waiters();
        return;
    }
    end(Error{ErrorKind::timed_out,
              head_complete_ ? "the body stalled" : "no answer within origin.first_byte_timeout"});
    fetcher_.wake_waiters();
}

void Fetch::cancel() {
    if (ended_) return;
    end(Error{ErrorKind::closed, "given up"});
    fetcher_.wake_waiters();
}

// `is_complete`: libcurl says that it is through. A handle that was taken from it earlier keeps
// what it held then, such as its buffer, and is not used again.
void Fetch::end(std::optional<Error> error, bool is_complete) {
    ended_ = true;
    if (!error_) error_ = std::move(error);
    deadline_.clear();
    tell();
    if (std::exchange(waiting_, false)) {
        std::erase(host_.waiting, this);
        return;
    }
    curl_multi_remove_handle(fetcher_.multi_, easy_);
    if (is_complete && fetcher_.idle_.size() < kIdleHandles) {
        require(curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, nullptr));
        fetcher_.idle_.push_back(easy_);
    } else {
        curl_easy_cleanup(easy_);
    }
    easy_ = nullptr;
    leave_host();
}

// The next may begin.
void Fetch::leave_host() {
    --host_.running;
    if (host_.waiting.empty()) return;
    Fetch& next = *host_.waiting.front();
    host_.waiting.pop_front();
    next.begin();
}

// Each line of the head, with its line end; a new status line begins it anew (after a 100).
std::size_t Fetch::take_line(std::string_view line) {
    if (head_complete_) return line.size();  // trailers
    head_bytes_ += line.size();
    if (head_bytes_ > kHeadBytes) {
        error_ = Error{ErrorKind::io, "the answer's head is too large"};
        return 0;  // ends the transfer as failed
    }
    std::string_view text = line;
    while (!text.empty() && is_blank(text.back()))
        text.remove_suffix(1);
    if (text.starts_with("HTTP/")) {
        head_ = {};
        head_.fields.reserve(kUsualFields);
        const std::size_t blank = text.find(' ');
        if (blank != text.npos)
            std::from_chars(text.data() + blank + 1, text.data() + text.size(), head_.status);
        return line.size();
    }
    if (text.empty()) {
        if (head_.status >= 200) {
            head_complete_ = true;
            expect_within(request_.stall_timeout);
            tell();
        }
        return line.size();
    }
    const std::size_t colon = text.find(':');
    if (colon == text.npos) return line.size();
    std::string name(text.substr(0, colon));
    std::ranges::transform(name, name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    text.remove_prefix(colon + 1);
    while (!text.empty() && is_blank(text.front()))
        text.remove_prefix(1);
    head_.fields.emplace_back(std::move(name), text);
    return line.size();
}

std::size_t Fetch::take_bytes(std::string_view bytes) {
    if (!buffer_.empty() && buffer_.size() + bytes.size() > buffer_bytes_) {
        paused_ = true;
        return CURL_WRITEFUNC_PAUSE;  // they come again
    }
    buffer_.append(bytes);
    expect_within(request_.stall_timeout);
    tell();
    return bytes.size();
}

Task<Result<FetchedHead>> Fetch::head() {
    while (!head_complete_ && !ended_)
        co_await News{*this};
    if (!head_complete_) {
        co_return std::unexpected(
            error_.value_or(Error{ErrorKind::io, "the answer ended before its head did"}));
    }
    co_return std::move(head_);
}

Task<Result<std::string>> Fetch::read() {
    while (buffer_.empty() && !ended_)
        co_await News{*this};
    if (buffer_.empty() && error_) co_return std::unexpected(*error_);
    std::string taken = std::exchange(buffer_, {});
    if (std::exchange(paused_, false) && !ended_) {
        expect_within(request_.stall_timeout);
        curl_easy_pause(easy_, CURLPAUSE_CONT);  // may hand over bytes at once
    }
    co_return taken;
}

}  // namespace tidepool::loop
