// The digest of a chunk while it comes, by the algorithm that its sender chose.
#pragma once

#include "conf/digest.h"
#include "proxy/upload/tus_headers.h"

#include <algorithm>
#include <span>
#include <utility>
#include <variant>

namespace tidepool::upload {

// Not shared between threads.
class RunningChecksum {
  public:
    explicit RunningChecksum(TusChecksum expected) : expected_(std::move(expected)) {
        using Algorithm = TusChecksum::Algorithm;
        if (expected_.algorithm == Algorithm::md5) running_.emplace<conf::Md5>();
        if (expected_.algorithm == Algorithm::sha1) running_.emplace<conf::Sha1>();
    }

    void update(std::span<const char> bytes) {
        std::visit([&](auto& running) { running.update(bytes); }, running_);
    }
    // Whether it is what was said. Once.
    bool fits() {
        return std::visit(
            [&](auto& running) { return std::ranges::equal(running.finish(), expected_.digest); },
            running_);
    }

  private:
    TusChecksum expected_;
    std::variant<conf::Sha256, conf::Md5, conf::Sha1> running_;
};

}  // namespace tidepool::upload
