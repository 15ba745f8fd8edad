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
        auto page = read_page();
        if (!page) return std::unexpected(page.error());
        page_ = std::move(*page);
        at_ = 0;
        ended_ = page_.size() < Catalog::kPage;
    }
    return at_ < page_.size() ? &page_[at_] : nullptr;
}

Result<std::vector<ObjectRecord>> RowWalk::read_page() {
    if (of_ == Of::objects) return catalog_.list(pool_, "", last_, Catalog::kPage);
    const auto copies = catalog_.list_backups(pool_, last_, Catalog::kPage);
    if (!copies) return std::unexpected(copies.error());
    std::vector<ObjectRecord> rows;
    for (const BackupRecord& copy : *copies)
        rows.push_back(record_of_copy(copy));
    return rows;
}

}  // namespace tidepool::storage
