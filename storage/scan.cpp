#include "storage/scan.h"

#include "storage/key.h"
#include "storage/row_walk.h"

#include <array>
#include <sstream>
#include <utility>
#include <vector>

namespace tidepool::storage {

namespace {

// In the order of their text; new ones go to the end.
constexpr std::array kFields{
    &ScanCounts::seen,         &ScanCounts::bytes,      &ScanCounts::added,
    &ScanCounts::changed,      &ScanCounts::unchanged,  &ScanCounts::foreign,
    &ScanCounts::unknown_type, &ScanCounts::unservable, &ScanCounts::failed,
    &ScanCounts::vanished,     &ScanCounts::deleted};

// One scan; see scan_pool.
class Scan {
  public:
    Scan(Driver& driver, Catalog& catalog, PoolId pool, const ScanOptions& options)
        : driver_(driver), catalog_(catalog), options_(options), rows_(catalog, pool) {
        place_.pool = pool;
        place_.started_s = options.now_s;
    }

    Result<void> resume();
    Result<ScanResult> run();

  private:
    Result<ListPage> next_page();
    Result<void> take(const ObjectInfo& info);
    Result<const ObjectRecord*> row_of(const std::string& key);
    Result<void> finish_rows();
    Result<void> flush();
    void count(Adoption adoption);

    Driver& driver_;
    Catalog& catalog_;
    const ScanOptions& options_;
    RowWalk rows_;
    ScanRecord place_;
    ScanResult result_;
    std::vector<ObjectRecord> batch_;
};

Result<void> Scan::resume() {
    const auto known = catalog_.find_scan(place_.pool);
    if (!known) return std::unexpected(known.error());
    if (!*known || (*known)->next.empty()) return {};
    place_ = **known;
    result_.resumed = true;
    result_.counts = parse_scan_counts(place_.counts);
    rows_.start_after(place_.last_key);
    return {};
}

Result<ScanResult> Scan::run() {
    while (true) {
        const auto page = next_page();
        if (!page) return std::unexpected(page.error());
        for (const ObjectInfo& info : page->objects) {
            if (const auto taken = take(info); !taken) return std::unexpected(taken.error());
        }
        place_.next = page->next;
        if (!page->objects.empty()) place_.last_key = page->objects.back().key;
        const bool last = page->next.empty();
        if (!last && batch_.size() + Driver::kMostListed <= kScanBatch) continue;
        if (const auto flushed = flush(); !flushed) return std::unexpected(flushed.error());
        if (last) break;
        if (options_.report && !options_.report(result_.counts)) return result_;
    }
    if (const auto finished = finish_rows(); !finished) return std::unexpected(finished.error());
    result_.complete = true;
    if (options_.report) options_.report(result_.counts);
    if (options_.dry_run) return result_;
    if (const auto ended = catalog_.end_scan(place_.pool); !ended) {
        return std::unexpected(ended.error());
    }
    return result_;
}

// A place that the store no longer knows means that the scan begins again.
Result<ListPage> Scan::next_page() {
    auto page = driver_.list("", place_.next, Driver::kMostListed);
    if (page || !result_.resumed || page.error().kind != ErrorKind::invalid) return page;
    result_ = {};
    place_ = {
        .pool = place_.pool, .next = {}, .last_key = {}, .counts = {}, .started_s = options_.now_s};
    rows_.start_after({});
    return driver_.list("", "", Driver::kMostListed);
}

Result<void> Scan::take(const ObjectInfo& info) {
    if (!options_.leave_out.empty() && info.key.starts_with(options_.leave_out)) return {};
    const auto row = row_of(info.key);
    if (!row) return std::unexpected(row.error());
    ScanCounts& counts = result_.counts;
    ++counts.seen;
    counts.bytes += info.size;
    if (!is_servable_key(info.key)) {
        ++counts.unservable;
        if (*row != nullptr) rows_.pop();
        return {};
    }
    ObjectRecord object = object_record(info.key, place_.pool);
    object.size = info.size;
    object.modified_s = info.modified_s;
    object.store_etag = info.etag;
    object.version_id = info.version_id;
    object.content_type = info.content_type;
    object.sha256 = info.sha256;
    object.added_s = options_.now_s;
    if (options_.describe) {
        const Described described = options_.describe(object, *row);
        if (described == Described::unknown_type) ++counts.unknown_type;
        if (described == Described::failed) ++counts.failed;
    }
    if (*row != nullptr) rows_.pop();
    batch_.push_back(std::move(object));
    return {};
}

// The pool's row of this key, which is then the next one; rows before it were not listed.
Result<const ObjectRecord*> Scan::row_of(const std::string& key) {
    while (true) {
        const auto row = rows_.peek();
        if (!row || *row == nullptr || (*row)->key > key) {
            if (!row) return row;
            return nullptr;
        }
        if ((*row)->key == key) return row;
        ++result_.counts.vanished;
        rows_.pop();
    }
}

Result<void> Scan::finish_rows() {
    while (true) {
        const auto row = rows_.peek();
        if (!row) return std::unexpected(row.error());
        if (*row == nullptr) return {};
        ++result_.counts.vanished;
        rows_.pop();
    }
}

Result<void> Scan::flush() {
    if (options_.dry_run) {
        const auto judged = catalog_.would_adopt(batch_);
        if (!judged) return std::unexpected(judged.error());
        for (const Adoption adoption : *judged)
            count(adoption);
    } else {
        const auto adopted = catalog_.adopt(batch_, [this](std::span<const Adoption> adoptions) {
            for (const Adoption adoption : adoptions)
                count(adoption);
            place_.counts = to_text(result_.counts);
            return place_;
        });
        if (!adopted) return std::unexpected(adopted.error());
    }
    rows_.skip_to(place_.last_key);
    batch_.clear();
    return {};
}

void Scan::count(Adoption adoption) {
    ScanCounts& counts = result_.counts;
    switch (adoption) {
        case Adoption::added:
            ++counts.added;
            break;
        case Adoption::changed:
            ++counts.changed;
            break;
        case Adoption::unchanged:
            ++counts.unchanged;
            break;
        case Adoption::foreign:
        case Adoption::uploading:  // which is another's to write down, too
            ++counts.foreign;
            break;
        case Adoption::deleted:
            ++counts.deleted;
            break;
    }
}

}  // namespace

std::string to_text(const ScanCounts& counts) {
    std::string text;
    for (const auto field : kFields)
        text += std::to_string(counts.*field) + " ";
    return text;
}

ScanCounts parse_scan_counts(const std::string& text) {
    ScanCounts counts;
    std::istringstream numbers(text);
    for (const auto field : kFields)
        numbers >> counts.*field;
    return counts;
}

Result<ScanResult> scan_pool(Driver& driver, Catalog& catalog, PoolId pool,
                             const ScanOptions& options) {
    Scan scan(driver, catalog, pool, options);
    if (!options.dry_run) {
        if (const auto resumed = scan.resume(); !resumed) return std::unexpected(resumed.error());
    }
    return scan.run();
}

}  // namespace tidepool::storage
