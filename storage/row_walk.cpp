#include "storage/row_walk.h"

#include <utility>

namespace tidepool::storage {

void RowWalk::start_after(std::string key) {
    last_ = std::move(key);
    page_.clear();
    at_ = 0;
    ended_ = false;
}

Result<const ObjectRecord*> RowWalk::peek() {
    if (at_ == page_.size() && !ended_) {
        auto page = catalog_.list(pool_, "", last_, kPage);
        if (!page) return std::unexpected(page.error());
        page_ = std::move(*page);
        at_ = 0;
        ended_ = page_.size() < kPage;
    }
    return at_ < page_.size() ? &page_[at_] : nullptr;
}

}  // namespace tidepool::storage
