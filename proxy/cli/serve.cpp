// The main thread of a running server: signals, reload, handing over, draining.
#include "conf/log.h"
#include "conf/usable_cores.h"
#include "proxy/api/settings_api.h"
#include "proxy/cli/commands.h"
#include "proxy/cli/descriptor_limit.h"
#include "proxy/cli/instance.h"
#include "proxy/cli/listen_sockets.h"
#include "proxy/cli/load_settings.h"
#include "proxy/cli/open_stores.h"
#include "proxy/cli/takeover.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include <malloc.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

namespace tidepool::cli {

namespace {

using Clock = std::chrono::steady_clock;

// After the drain's time is up: how long cut connections may take to unwind before the process just
// ends.
constexpr std::chrono::seconds kAbortTime{2};
// After the last request: how long the access log may take to write what it holds.
constexpr std::chrono::seconds kLogTime{2};
// For threads to end that do no request's work any more.
constexpr std::chrono::seconds kThreadTime{5};

// Threads that wait for disks and stores are many, and glibc would give each a heap of its own, up
// to eight for each core, which keeps what was freed there. No more run at a time than there are
// cores.
constexpr int kHeapsPerCore = 2;
void limit_heaps() {
    if (std::getenv("MALLOC_ARENA_MAX") != nullptr) return;  // the operator's word
    mallopt(M_ARENA_MAX, kHeapsPerCore * static_cast<int>(conf::usable_cores()));
}

[[noreturn]] void end_at_once() {
    conf::log_error("ending with work that does not end, likely a disk that hangs");
    std::_Exit(1);
}

// Ends the process where that is still there at this time: a thread that waits for a disk which
// says nothing is joined by nobody.
class EndWatch {
  public:
    explicit EndWatch(Clock::time_point at)
        : thread_([this, at](const std::stop_token& stop) {
              std::unique_lock lock(mutex_);
              ended_.wait_until(lock, stop, at, [] { return false; });
              if (!stop.stop_requested()) end_at_once();
          }) {}

  private:
    std::mutex mutex_;
    std::condition_variable_any ended_;
    std::jthread thread_;  // last: it is told to end, and waited for
};

class Supervisor {
  public:
    Supervisor(const ServeOptions& options, std::vector<std::string> arguments,
               conf::Settings settings)
        : options_(options), arguments_(std::move(arguments)), settings_(std::move(settings)) {}

    bool start();
    int run();

  private:
    Result<void> open_listeners(unsigned loops, InheritedSockets& inherited);
    void handle_signal(int signal_number);
    void reload();
    void begin_takeover();
    void finish_takeover();
    void begin_drain(bool successor_has_admin);
    int poll_timeout_ms() const;
    bool past_deadline();

    ServeOptions options_;
    std::vector<std::string> arguments_;
    conf::Settings settings_;
    std::vector<ListenSocket> open_;
    std::vector<ListenSocket> tls_;
    std::vector<ListenSocket> admin_;
    std::unique_ptr<Instance> instance_;
    int signal_fd_ = -1;
    int done_fd_ = -1;
    std::optional<Successor> successor_;
    std::vector<pid_t> successors_;              // that are to be reaped
    std::optional<Clock::time_point> deadline_;  // of the drain, or of the successor's start
    bool draining_ = false;
    bool aborted_ = false;
};

bool Supervisor::start() {
    // Blocked before any thread exists, so that only signalfd sees them.
    sigset_t signals;
    sigemptyset(&signals);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD})
        sigaddset(&signals, number);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);  // a full log is an error of write(2), not the end
    std::signal(SIGIO, SIG_IGN);    // a lease that is broken (see storage::OpenFile::writers)
    signal_fd_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    done_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    conf::set_log_level(settings_.log.level);
    raise_descriptor_limit();
    const unsigned loops =
        settings_.server.threads > 0 ? settings_.server.threads : conf::usable_cores();
    InheritedSockets inherited = inherited_sockets();
    if (const auto opened = open_listeners(loops, inherited); !opened) {
        conf::log_error("cannot listen: {}", opened.error().text);
        return false;
    }
    std::unique_ptr<serve::AccessLog> log;
    if (!settings_.access_log.path.empty()) {
        auto opened = serve::AccessLog::open(settings_.access_log, loops,
                                             settings_.edge.client_address_header);
        if (!opened) {
            conf::log_error("cannot log: {}", opened.error().text);
            return false;
        }
        log = std::move(*opened);
    }
    std::shared_ptr<const tls::Context> tls;
    if (!settings_.certificates.empty()) {
        auto loaded = tls::Context::load(settings_.tls, settings_.certificates, settings_.edge,
                                         std::make_shared<tls::TicketKeys>());
        if (!loaded) {
            conf::log_error("no TLS: {}", loaded.error().text);
            return false;
        }
        tls = std::move(*loaded);
        for (const std::string& line : tls->warnings())
            conf::log_warn("not in force today: {}", line);
    }
    auto stores = open_stores(settings_, StoresFor::server);
    if (!stores) {
        conf::log_error("cannot serve: {}", stores.error().text);
        return false;
    }
    instance_ = std::make_unique<Instance>(stores->settings->load(), std::move(*stores),
                                           std::move(tls), std::move(log), loops, done_fd_);
    const auto sites = instance_->finder().sites();
    for (const serve::FileFinder::Site* const site : *sites) {
        // Not fatal, nor waited for: an NFS server that is away now will come back, and other pools
        // can serve meanwhile.
        site->workers.submit(loop::Lane::quick, [site] {
            if (const auto checked = site->pool.check(); !checked)
                conf::log_error("{}", checked.error().text);
        });
    }
    instance_->start(open_, tls_, admin_);
    for (const ListenSocket& socket : open_)
        conf::log_info("listening address={} listener=public", socket.actual);
    for (const ListenSocket& socket : tls_)
        conf::log_info("listening address={} listener=tls", socket.actual);
    for (const ListenSocket& socket : admin_)
        conf::log_info("listening address={} listener=admin", socket.actual);
    conf::log_info("serving version={} pid={} loops={}", TIDEPOOL_VERSION, getpid(), loops);
    sd_notify(0, "READY=1");
    drop_sockets(inherited);  // not before: had we failed, our predecessor would go on with them
    tell_predecessor();
    return true;
}

Result<void> Supervisor::open_listeners(unsigned loops, InheritedSockets& inherited) {
    ActivatedSockets activated = activated_sockets(inherited);
    open_ = std::move(activated.open);
    tls_ = std::move(activated.tls);
    admin_ = std::move(activated.admin);
    if (open_.empty()) {
        auto opened = open_sockets(settings_.server.listen, settings_.server, loops, inherited);
        if (!opened) return std::unexpected(opened.error());
        open_ = std::move(*opened);
    }
    if (tls_.empty()) {
        auto opened = open_sockets(settings_.tls.listen, settings_.server, loops, inherited);
        if (!opened) return std::unexpected(opened.error());
        tls_ = std::move(*opened);
    }
    if (admin_.empty()) {
        auto opened = open_sockets(settings_.admin.listen, settings_.server, 1, inherited);
        if (!opened) return std::unexpected(opened.error());
        admin_ = std::move(*opened);
    }
    return {};
}

int Supervisor::poll_timeout_ms() const {
    if (!deadline_) return -1;
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(*deadline_ - Clock::now());
    return static_cast<int>(std::max<std::int64_t>(0, left.count() + 1));
}

int Supervisor::run() {
    while (true) {
        pollfd watched[3] = {{signal_fd_, POLLIN, 0},
                             {done_fd_, POLLIN, 0},
                             {successor_ ? successor_->ready_fd : -1, POLLIN, 0}};
        poll(watched, 3, poll_timeout_ms());
        signalfd_siginfo info{};
        while (read(signal_fd_, &info, sizeof info) == sizeof info)
            handle_signal(static_cast<int>(info.ssi_signo));
        if (successor_ && watched[2].revents != 0) finish_takeover();
        if ((watched[1].revents & POLLIN) != 0) break;
        if (deadline_ && Clock::now() >= *deadline_ && past_deadline()) {
            end_at_once();
        }
    }
    if (!instance_->finish_log(kLogTime)) {
        conf::log_error("ending without the rest of the access log, its disk or reader hangs");
        std::_Exit(1);
    }
    {
        const EndWatch watch(
            std::max(deadline_.value_or(Clock::time_point()), Clock::now() + kThreadTime));
        instance_.reset();
    }
    conf::log_info("ended pid={}", getpid());
    return 0;
}

// True: there is nothing left to wait for.
bool Supervisor::past_deadline() {
    if (successor_) {
        conf::log_error("the successor did not begin to serve in time, going on without pid={}",
                        successor_->pid);
        kill(successor_->pid, SIGKILL);
        deadline_.reset();  // its pipe closes, which finish_takeover sees
        return false;
    }
    if (aborted_) return true;
    aborted_ = true;
    conf::log_warn("drain timeout, cutting connections={}", instance_->connections());
    instance_->abort();
    deadline_ = Clock::now() + kAbortTime;
    return false;
}

void Supervisor::handle_signal(int signal_number) {
    switch (signal_number) {
        case SIGHUP:
            reload();
            break;
        case SIGUSR1:
            instance_->reopen_log();
            break;
        case SIGUSR2:
            begin_takeover();
            break;
        case SIGCHLD:
            // The workers that make variants have somebody else who waits for them.
            std::erase_if(successors_,
                          [](pid_t pid) { return waitpid(pid, nullptr, WNOHANG) != 0; });
            break;
        default:
            if (draining_) {
                conf::log_warn("second signal, cutting connections={}", instance_->connections());
                aborted_ = true;
                instance_->abort();
                deadline_ = Clock::now() + kAbortTime;
            } else {
                begin_drain(false);
            }
    }
}

void Supervisor::reload() {
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
               static_cast<long long>(std::chrono::duration_cast<std::chrono::microseconds>(
                                          Clock::now().time_since_epoch())
                                          .count()));
    const auto changed = load_settings(options_);
    if (!changed) {
        conf::log_error("configuration not reloaded, the old one is kept");
    } else {
        for (const std::string& key : api::keys_for_restart(settings_, *changed))
            conf::log_warn("{} has changed and takes effect with a restart (SIGUSR2)", key);
        if (const auto reloaded = instance_->reload(*changed); reloaded) {
            conf::set_log_level(changed->log.level);
            conf::log_info("configuration reloaded");
        } else {
            conf::log_error("configuration not reloaded, the old one is kept reason=\"{}\"",
                            reloaded.error().text);
        }
    }
    instance_->reopen_log();
    sd_notify(0, "READY=1");
}

void Supervisor::begin_takeover() {
    if (successor_ || draining_) return;
    std::vector<ListenSocket> all = open_;
    all.insert(all.end(), tls_.begin(), tls_.end());
    all.insert(all.end(), admin_.begin(), admin_.end());
    auto started = start_successor(arguments_, all);
    if (!started) {
        conf::log_error("no successor: {}", started.error().text);
        return;
    }
    successor_ = *started;
    successors_.push_back(started->pid);
    deadline_ = Clock::now() + kSuccessorTime;
    conf::log_info("successor started pid={}", successor_->pid);
}

void Supervisor::finish_takeover() {
    char word = 0;
    const bool serves = read(successor_->ready_fd, &word, 1) == 1;
    close(successor_->ready_fd);
    deadline_.reset();
    if (serves) {
        conf::log_info("successor serves pid={}", successor_->pid);
        sd_notifyf(0, "MAINPID=%d", successor_->pid);
        successor_.reset();
        begin_drain(true);
    } else {
        conf::log_error("successor ended before it served, going on pid={}", successor_->pid);
        successor_.reset();
    }
}

void Supervisor::begin_drain(bool successor_has_admin) {
    draining_ = true;
    if (successor_) {
        // Whoever ends the server wants no other; and the deadline is the drain's from here on.
        conf::log_info("ending the successor that is starting pid={}", successor_->pid);
        kill(successor_->pid, SIGTERM);
        close(successor_->ready_fd);
        successor_.reset();
    }
    conf::log_info("draining connections={}", instance_->connections());
    if (!successor_has_admin) sd_notify(0, "STOPPING=1");
    instance_->drain(settings_.server.drain_idle, successor_has_admin);
    deadline_ = Clock::now() + settings_.server.drain_timeout;
    if (successor_has_admin) return;
    for (const auto* group : {&open_, &tls_, &admin_}) {
        for (const ListenSocket& socket : *group) {
            if (socket.ours && socket.actual.starts_with("unix:"))
                unlink(socket.actual.c_str() + 5);
        }
    }
}

}  // namespace

int serve(const ServeOptions& options, const std::vector<std::string>& arguments) {
    auto settings = load_settings(options);
    if (!settings) return 2;
    limit_heaps();
    Supervisor supervisor(options, arguments, std::move(*settings));
    if (!supervisor.start()) return 1;
    return supervisor.run();
}

}  // namespace tidepool::cli
