#include "proxy/cli/variant_run.h"

#include "proxy/cli/open_stores.h"
#include "proxy/http/fetcher.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/serve/file_finder.h"
#include "proxy/serve/origin.h"
#include "proxy/serve/variant_maker.h"

#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>
#include <utility>

namespace tidepool::cli {

namespace {

// Nobody waits at the other end.
constexpr conf::Milliseconds kPatience{3'600'000};

}  // namespace

struct VariantRun::Machinery {
    Machinery(const conf::Settings& settings, OpenedStores opened)
        : stores(std::move(opened.stores)),
          finder(settings, serve::serve_rules(settings), *stores),
          origin(settings.origin, settings.shelf.slice_bytes, stores->shelf(),
                 stores->shelf_workers()),
          fetcher(loop, settings.origin.connections),
          maker({loop, fetcher}, finder, origin, settings),
          most_running(2 * (settings.variants.cheap_workers + settings.variants.dear_workers)) {
        stores->use_pools(opened.pools);
        finder.use_pools(opened.pools);
    }

    static loop::Task<> make(Machinery& self, std::vector<std::string> keys);
    void count(const serve::VariantMaker::Outcome& outcome);

    std::unique_ptr<serve::Stores> stores;
    serve::FileFinder finder;
    serve::Origin origin;
    loop::Loop loop;
    http::Fetcher fetcher;
    serve::VariantMaker maker;
    const unsigned most_running;
    std::thread thread;

    mutable std::mutex mutex;
    std::condition_variable done;
    unsigned running = 0;
    Counts counts;
};

// One after the other: what can be made of one decoding is made with the first.
loop::Task<> VariantRun::Machinery::make(Machinery& self, std::vector<std::string> keys) {
    for (const std::string& key : keys) {
        const auto outcome = co_await self.maker.make(self.loop, key, kPatience);
        // By which its row is written, where it is on a disk.
        if (!outcome.error) co_await self.finder.find(self.loop, key);
        self.count(outcome);
    }
    const std::lock_guard lock(self.mutex);
    --self.running;
    self.done.notify_all();
}

void VariantRun::Machinery::count(const serve::VariantMaker::Outcome& outcome) {
    const std::lock_guard lock(mutex);
    if (outcome.error && outcome.error->kind == ErrorKind::not_found) {
        ++counts.without;
    } else if (outcome.error || outcome.unstored) {
        ++counts.failed;
    } else {
        ++counts.made;
    }
}

VariantRun::VariantRun(std::unique_ptr<Machinery> machinery) : machinery_(std::move(machinery)) {
    std::signal(SIGIO, SIG_IGN);  // a lease that is broken (see storage::OpenFile::writers)
    machinery_->loop.post([&maker = machinery_->maker] { maker.start(); });
    machinery_->thread = std::thread([&loop = machinery_->loop] { loop.run(); });
}

Result<std::unique_ptr<VariantRun>> VariantRun::open(const conf::Settings& settings) {
    auto stores = open_stores(settings, StoresFor::command);
    if (!stores) return std::unexpected(std::move(stores.error()));
    return std::unique_ptr<VariantRun>(
        new VariantRun(std::make_unique<Machinery>(settings, std::move(*stores))));
}

VariantRun::~VariantRun() {
    wait();
    machinery_->loop.post([this] {
        machinery_->maker.stop(false);
        machinery_->loop.stop();
    });
    machinery_->thread.join();
}

void VariantRun::add(std::vector<std::string> keys) {
    {
        std::unique_lock lock(machinery_->mutex);
        machinery_->done.wait(lock,
                              [this] { return machinery_->running < machinery_->most_running; });
        ++machinery_->running;
    }
    machinery_->loop.post([this, keys = std::move(keys)]() mutable {
        machinery_->loop.tasks().spawn(Machinery::make(*machinery_, std::move(keys)));
    });
}

void VariantRun::wait() {
    std::unique_lock lock(machinery_->mutex);
    machinery_->done.wait(lock, [this] { return machinery_->running == 0; });
}

VariantRun::Counts VariantRun::counts() const {
    const std::lock_guard lock(machinery_->mutex);
    return machinery_->counts;
}

}  // namespace tidepool::cli
