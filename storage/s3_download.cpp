#include "storage/s3_download.h"

#include "storage/s3_object.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

// A try that brought as much has not failed in vain: the count of tries begins anew.
constexpr std::uint64_t kProgressBytes = 1024ULL * 1024;

}  // namespace

ReadOptions S3Download::options() const {
    ReadOptions options;
    if (offset_ > 0 || range_.length) {
        GetRange rest{.offset = offset_};
        if (range_.length) rest.length = range_.offset + *range_.length - offset_;
        options.range = rest;
    }
    if (object_) {
        options.version_id = object_->version_id;
        // Not with a version's id, which says it already: B2 may not know the header.
        if (options.version_id.empty()) options.if_match = object_->etag;
    }
    return options;
}

std::unexpected<Error> S3Download::broken(std::string_view why, ErrorKind kind, NextTry next) {
    own_next_ = next;
    StoreDetail detail;
    detail.pool = client_.pool();
    detail.key = key_;
    return fail(kind, fmt::format("pool {}: GET {}: {}", client_.pool(), key_, why),
                std::move(detail));
}

// Before a byte is passed on: are these the bytes that were asked for, of the version begun with?
Result<void> S3Download::check_head(const HttpAnswer& head) {
    if (std::exchange(head_checked_, true)) return {};
    if (head.status == 206) {
        const auto range = parse_content_range(head.header("content-range"));
        if (!range || range->first != offset_)
            return broken("the store sent another range", ErrorKind::io, NextTry::fresh_connection);
        return learn(head, range->total);
    }
    if (offset_ > 0 || range_.length)
        return broken("the store ignored the range", ErrorKind::io, NextTry::fresh_connection);
    const auto length = head.length();
    if (!length) return broken("the answer has no length", ErrorKind::io, NextTry::never);
    return learn(head, *length);
}

Result<void> S3Download::learn(const HttpAnswer& head, std::uint64_t total) {
    ObjectInfo object = object_of(key_, head);
    object.size = total;
    if (object_) {
        const bool same = object.etag == object_->etag && object.size == object_->size &&
                          object.version_id == object_->version_id;
        if (same) return {};
        return broken("it was replaced while it was read", ErrorKind::conflict, NextTry::never);
    }
    end_ = std::min(total, range_.length ? range_.offset + *range_.length : total);
    md5_ = md5_in(head);
    object_ = std::move(object);
    return {};
}

Result<void> S3Download::take(const HttpAnswer& head, std::span<const char> bytes) {
    if (auto good = check_head(head); !good) return good;
    if (bytes.size() > end_ - offset_)
        return broken("the store sent too much", ErrorKind::corrupt, NextTry::never);
    if (is_whole() && object_->sha256) {
        sha256_.update(bytes);
    } else if (is_whole() && md5_) {
        md5_found_.update(bytes);
    }
    own_next_ = NextTry::never;  // of the sink's error
    if (auto written = sink_.write(bytes); !written) return written;
    offset_ += bytes.size();
    return {};
}

// `error` of the result is meaningful where the object is not whole yet.
StoreFailure S3Download::try_once(bool first) {
    head_checked_ = false;
    own_next_ = NextTry::never;
    const S3Call call{
        .key = key_,
        .request = [&](std::int64_t now) { return client_.requests().get(key_, options(), now); },
        .exchange = {.take = [&](const HttpAnswer& head, std::span<const char> bytes) {
            return take(head, bytes);
        }}};
    auto answer = client_.try_once(call, first);
    if (!answer) {
        if (own_next_ != NextTry::never) answer.error().next = own_next_;
        return std::move(answer.error());
    }
    if (auto good = check_head(*answer); !good)  // an empty body was never taken
        return {std::move(good.error()), own_next_};
    if (offset_ == end_) return {};
    return {broken("the body ended early", ErrorKind::io, NextTry::fresh_connection).error(),
            NextTry::fresh_connection};
}

Result<ObjectInfo> S3Download::run() {
    RetryPlan plan = client_.new_plan();
    bool first = true;
    while (true) {
        const std::uint64_t before = offset_;
        const StoreFailure failure = try_once(std::exchange(first, false));
        if (object_ && offset_ == end_) return finish();
        if (object_ && failure.error.store && failure.error.store->status == 416)
            return broken("it ends before the size it was said to have", ErrorKind::corrupt,
                          NextTry::never);
        if (offset_ - before >= kProgressBytes) plan = client_.new_plan();
        const auto pause = plan.next(failure, std::chrono::steady_clock::now());
        if (!pause) return std::unexpected(failure.error);
        client_.wait(*pause);
    }
}

Result<ObjectInfo> S3Download::finish() {
    if (!is_whole()) return *object_;
    const bool differs = object_->sha256 ? sha256_.finish() != *object_->sha256
                                         : md5_ && conf::hex(md5_found_.finish()) != *md5_;
    if (differs)
        return broken("the content is not what was stored", ErrorKind::corrupt, NextTry::never);
    return *object_;
}

}  // namespace tidepool::storage
