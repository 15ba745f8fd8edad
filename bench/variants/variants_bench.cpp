// tidepool's side of bench/variants: makes variants with the worker processes of the server, as the
// server does, on a loop of its own.
//
//     variants_bench WORKERS
//
// reads one command a line, says "ready" once and then answers each with a line:
//
//     run COUNT apart|together SAVE|- RECIPE,RECIPE... FILE...
//         makes all recipes (FORMAT:WIDTH:QUALITY:EFFORT) of COUNT sources, the files in turn, as
//         many at a time as there are workers: "done VARIANTS BYTES SECONDS". The variants of the
//         first of each file are saved as SAVE-FILENUMBER-RECIPENUMBER.
#include "conf/descriptor.h"
#include "proxy/loop/loop.h"
#include "proxy/serve/variant_workers.h"
#include "transform/format.h"
#include "transform/recipe.h"

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace {

using namespace tidepool;

[[noreturn]] void give_up(const std::string& why) {
    fmt::print(stderr, "variants_bench: {}\n", why);
    std::_Exit(1);
}

transform::Recipe recipe_of(const std::string& text) {
    std::istringstream words(text);
    std::string name;
    transform::Recipe recipe;
    char colon = ':';
    std::getline(words, name, ':');
    words >> recipe.width >> colon >> recipe.quality >> colon >> recipe.effort;
    const auto format = transform::format_named(name);
    if (!words || !format) give_up("no recipe: " + text);
    recipe.format = *format;
    const conf::VariantSettings limits;
    recipe.limits = {limits.source_bytes, limits.pixels, limits.frames, limits.animation_pixels,
                     limits.result_bytes};
    return recipe;
}

struct Order {
    int count = 0;
    bool together = false;
    std::string save_as;
    std::vector<transform::Recipe> recipes;
    std::vector<std::string> files;
};

Order order_of(const std::string& line) {
    std::istringstream words(line);
    std::string command;
    std::string mode;
    std::string recipes;
    Order order;
    words >> command >> order.count >> mode >> order.save_as >> recipes;
    if (!words || command != "run") give_up("no command: " + line);
    order.together = mode == "together";
    if (order.save_as == "-") order.save_as.clear();
    std::istringstream each(recipes);
    for (std::string recipe; std::getline(each, recipe, ',');)
        order.recipes.push_back(recipe_of(recipe));
    for (std::string file; words >> file;)
        order.files.push_back(file);
    if (order.files.empty()) give_up("no files: " + line);
    return order;
}

struct Done {
    std::uint64_t variants = 0;
    std::uint64_t bytes = 0;
};

class Bench {
  public:
    explicit Bench(unsigned workers) : at_once_(workers), workers_(loop_, options(workers)) {
        workers_.start();
    }

    // Reads commands until there are none.
    void run() {
        loop_.tasks().spawn(serve(*this));
        loop_.stop();
        loop_.run();
    }

  private:
    // Waits for the last of those who work.
    struct AllDone {
        Bench& bench;
        bool await_ready() const noexcept { return bench.busy_ == 0; }
        void await_suspend(std::coroutine_handle<> waiter) { bench.waiter_ = waiter; }
        void await_resume() const noexcept {}
    };

    static serve::VariantWorkers::Options options(unsigned workers) {
        auto made = serve::VariantWorkers::options_of({});
        made.lanes = {serve::VariantWorkers::LaneLimits{workers, 64},
                      serve::VariantWorkers::LaneLimits{0, 1}};
        made.nice = 0;  // as the others
        return made;
    }

    // The loop waits while a line is read: nothing else is to be done.
    static loop::Task<> serve(Bench& self) {
        std::puts("ready");
        std::fflush(stdout);
        for (std::string line; std::getline(std::cin, line);) {
            const Order order = order_of(line);
            const auto began = std::chrono::steady_clock::now();
            self.next_ = 0;
            self.done_ = {};
            self.busy_ = self.at_once_;
            for (unsigned i = 0; i < self.at_once_; ++i)
                self.loop_.tasks().spawn(work(self, order));
            co_await AllDone{self};
            const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
            fmt::print("done {} {} {:.4f}\n", self.done_.variants, self.done_.bytes, took.count());
            std::fflush(stdout);
        }
        self.workers_.stop(false);
    }

    static loop::Task<> work(Bench& self, const Order& order) {
        while (self.next_ < order.count) {
            const int number = self.next_++;
            const std::string& file =
                order.files[static_cast<std::size_t>(number) % order.files.size()];
            const conf::Descriptor source(open(file.c_str(), O_RDONLY | O_CLOEXEC));
            if (!source) give_up("cannot open " + file);
            const std::uint64_t bytes = std::filesystem::file_size(file);
            const auto keep = [&](std::size_t index, const Result<serve::MadeVariant>& made) {
                self.keep(order, number, index, made);
            };
            if (order.together) {
                co_await self.workers_.make_all(serve::VariantLane::cheap, source.get(), bytes,
                                                order.recipes, keep);
                continue;
            }
            for (std::size_t i = 0; i < order.recipes.size(); ++i) {
                const auto made = co_await self.workers_.make(
                    serve::VariantLane::cheap, source.get(), bytes, order.recipes[i]);
                keep(i, made);
            }
        }
        if (--self.busy_ == 0 && self.waiter_)
            self.loop_.post(std::exchange(self.waiter_, nullptr));
    }

    void keep(const Order& order, int number, std::size_t index,
              const Result<serve::MadeVariant>& made) {
        if (!made) give_up(made.error().text);
        ++done_.variants;
        done_.bytes += made->bytes;
        if (order.save_as.empty() || number >= static_cast<int>(order.files.size())) return;
        std::string content(made->bytes, '\0');
        if (pread(made->file.get(), content.data(), content.size(), 0) !=
            static_cast<ssize_t>(content.size()))
            give_up("cannot read a variant");
        std::ofstream(fmt::format("{}-{}-{}", order.save_as, number, index), std::ios::binary)
            << content;
    }

    unsigned at_once_;
    loop::Loop loop_;
    serve::VariantWorkers workers_;
    int next_ = 0;
    unsigned busy_ = 0;
    std::coroutine_handle<> waiter_ = nullptr;
    Done done_;
};

}  // namespace

int main(int count, char** words) {
    if (count != 2) give_up("usage: variants_bench WORKERS");
    Bench(static_cast<unsigned>(std::stoul(words[1]))).run();
    return 0;
}
