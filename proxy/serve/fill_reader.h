// One answer's way through what is being fetched from a bucket.
#pragma once

#include "conf/error.h"
#include "proxy/http/response.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/serve/fill.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace tidepool::serve {

// Offsets are the object's. Loop thread of the answer.
class FillReader final : public http::Incoming {
  public:
    FillReader(loop::Loop& loop, std::shared_ptr<Fill> fill, std::uint64_t position)
        : loop_(loop), fill_(std::move(fill)), position_(position) {}
    ~FillReader() override;

    View look(std::uint64_t offset) override;
    loop::Task<bool> more(std::uint64_t offset) override;

    // As more(), and says why not. ErrorKind::overloaded with nothing in `store` where it was left
    // behind, which the caller can mend by a fetch from `offset` on.
    loop::Task<std::optional<Error>> wait(std::uint64_t offset);

    // What it had up to `offset`, where wait() said that it was left behind; null where it had
    // nothing.
    std::shared_ptr<const Fill::Beginning> beginning(std::uint64_t offset) const;

  private:
    friend class tidepool::serve::Fill;
    class Arrival;

    loop::Loop& loop_;
    std::shared_ptr<Fill> fill_;
    // Under the fill's mutex:
    std::uint64_t position_;  // from the stretch's start
    bool starved_ = false;    // it has all that there is
    // What the last view shows, or what was dropped while it stood there.
    std::shared_ptr<const Fill::Piece> held_;
};

}  // namespace tidepool::serve
