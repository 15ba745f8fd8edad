// Making variants without a server: the same workers, stores and claims, led by a loop of its own.
#pragma once

#include "conf/error.h"
#include "conf/settings.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tidepool::cli {

class VariantRun {
  public:
    // Opens the stores and starts the workers. What a server beside it makes at the moment is left
    // to that.
    static Result<std::unique_ptr<VariantRun>> open(const conf::Settings& settings);
    // Lets what runs end.
    ~VariantRun();
    VariantRun(const VariantRun&) = delete;
    VariantRun& operator=(const VariantRun&) = delete;

    struct Counts {
        std::uint64_t made = 0;     // or found to be there
        std::uint64_t without = 0;  // images that have no such variant: too small, or gone
        std::uint64_t failed = 0;   // said in the log
    };

    // Takes on variants of one image, by their keys; blocks while as many images are being worked
    // on as keeps the workers busy. One thread.
    void add(std::vector<std::string> keys);
    // Returns when all that was added is done.
    void wait();
    // Any thread.
    Counts counts() const;

  private:
    struct Machinery;
    explicit VariantRun(std::unique_ptr<Machinery> machinery);

    std::unique_ptr<Machinery> machinery_;
};

}  // namespace tidepool::cli
