// A pool in memory that fails when told to.
#pragma once

#include "storage/driver.h"

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace tidepool::test {

// Content in memory as a source, and as a sink.
class TextSource : public storage::ByteSource {
  public:
    explicit TextSource(std::string text) : text_(std::move(text)) {}
    Result<std::size_t> read(std::span<char> into) override {
        const std::size_t count = std::min(into.size(), text_.size() - at_);
        std::copy_n(text_.data() + at_, count, into.data());
        at_ += count;
        return count;
    }
    Result<void> rewind() override {
        at_ = 0;
        return {};
    }

  private:
    std::string text_;
    std::size_t at_ = 0;
};

class TextSink : public storage::ByteSink {
  public:
    Result<void> write(std::span<const char> bytes) override {
        text.append(bytes.data(), bytes.size());
        return {};
    }
    std::string text;
};

// Keeps no versions. Safe from any thread.
class FakeDriver : public storage::Driver {
  public:
    enum class Call : std::uint8_t { put, get, head, settle, remove, list, space, check };
    // What each call asks first, with the key it is about (the prefix for `list`): an error is its
    // result, and nothing is done. For a put that is stored although it failed, see lose_answers.
    using Fault = std::function<std::optional<Error>(Call, std::string_view key)>;

    explicit FakeDriver(std::string pool) : pool_(std::move(pool)) {}

    void set_fault(Fault fault) { fault_ = std::move(fault); }
    // The next `count` puts store their object and then say that they failed.
    void lose_answers(int count) { lost_answers_ = count; }
    // Puts a content there as another program would.
    void place(const std::string& key, std::string content, std::int64_t modified_s = 1) {
        const std::lock_guard lock(mutex_);
        store(key, std::move(content), modified_s, "");
    }
    void set_space(storage::Space space) { space_ = space; }
    std::optional<std::string> content(const std::string& key) const {
        const std::lock_guard lock(mutex_);
        const auto found = objects_.find(key);
        if (found == objects_.end()) return std::nullopt;
        return found->second.content;
    }
    std::size_t size() const {
        const std::lock_guard lock(mutex_);
        return objects_.size();
    }

    const std::string& pool() const override { return pool_; }

    Result<storage::ObjectInfo> put(std::string_view key, storage::ByteSource& source,
                                    const storage::PutOptions& options) override {
        if (auto error = fault(Call::put, key)) return std::unexpected(*error);
        std::string content;
        std::vector<char> buffer(4096);
        while (true) {
            const auto count = source.read(buffer);
            if (!count) return std::unexpected(count.error());
            if (*count == 0) break;
            content.append(buffer.data(), *count);
        }
        if (content.size() != options.size) return wrong(ErrorKind::corrupt, "another length", key);
        if (options.sha256 && *options.sha256 != digest_of(content)) {
            return wrong(ErrorKind::corrupt, "another SHA-256", key);
        }
        const std::lock_guard lock(mutex_);
        store(std::string(key), std::move(content), ++clock_, options.content_type);
        if (lost_answers_ > 0) {
            --lost_answers_;
            return wrong(ErrorKind::timed_out, "no answer", key);
        }
        return info_of(*objects_.find(key));
    }

    Result<storage::ObjectInfo> get(std::string_view key, const storage::GetRange& range,
                                    storage::ByteSink& sink) override {
        if (auto error = fault(Call::get, key)) return std::unexpected(*error);
        const std::lock_guard lock(mutex_);
        const auto found = objects_.find(key);
        if (found == objects_.end()) return wrong(ErrorKind::not_found, "absent", key);
        const std::string& content = found->second.content;
        const std::size_t start = std::min<std::size_t>(range.offset, content.size());
        const std::size_t length =
            std::min<std::size_t>(range.length.value_or(content.size()), content.size() - start);
        if (auto written = sink.write(std::span(content).subspan(start, length)); !written) {
            return std::unexpected(written.error());
        }
        return info_of(*found);
    }

    Result<storage::ObjectInfo> head(std::string_view key) override {
        if (auto error = fault(Call::head, key)) return std::unexpected(*error);
        const std::lock_guard lock(mutex_);
        const auto found = objects_.find(key);
        if (found == objects_.end()) return wrong(ErrorKind::not_found, "absent", key);
        return info_of(*found);
    }

    Result<void> settle(std::string_view key) override {
        if (auto error = fault(Call::settle, key)) return std::unexpected(*error);
        return {};
    }

    Result<void> remove(std::string_view key) override {
        if (auto error = fault(Call::remove, key)) return std::unexpected(*error);
        const std::lock_guard lock(mutex_);
        if (const auto found = objects_.find(key); found != objects_.end()) objects_.erase(found);
        return {};
    }

    Result<storage::ListPage> list(std::string_view prefix, const std::string& next,
                                   std::size_t limit) override {
        if (auto error = fault(Call::list, prefix)) return std::unexpected(*error);
        const std::lock_guard lock(mutex_);
        storage::ListPage page;
        auto at = next.empty() ? objects_.lower_bound(prefix) : objects_.upper_bound(next);
        for (; at != objects_.end() && at->first.starts_with(prefix); ++at) {
            if (page.objects.size() == limit) {
                page.next = page.objects.back().key;
                break;
            }
            page.objects.push_back(info_of(*at));
            page.objects.back().content_type.clear();  // listings do not say
            page.objects.back().sha256.reset();
        }
        return page;
    }

    Result<std::optional<storage::ObjectInfo>> copy_within_store(
        storage::Driver&, std::string_view, std::string_view, const storage::PutOptions&) override {
        return std::optional<storage::ObjectInfo>{};
    }

    Result<storage::Space> space() override {
        if (auto error = fault(Call::space, "")) return std::unexpected(*error);
        return space_;
    }
    Result<std::vector<std::string>> check(bool) override {
        if (auto error = fault(Call::check, "")) return std::unexpected(*error);
        return std::vector<std::string>{};
    }

  private:
    struct Object {
        std::string content;
        std::int64_t modified_s;
        std::string content_type;
    };
    using Objects = std::map<std::string, Object, std::less<>>;

    static conf::Sha256Digest digest_of(const std::string& content) {
        conf::Sha256 sha;
        sha.update(content);
        return sha.finish();
    }
    std::optional<Error> fault(Call call, std::string_view key) const {
        return fault_ ? fault_(call, key) : std::nullopt;
    }
    std::unexpected<Error> wrong(ErrorKind kind, const std::string& text,
                                 std::string_view key) const {
        StoreDetail detail;
        detail.pool = pool_;
        detail.key = key;
        return fail(kind, pool_ + ": " + std::string(key) + ": " + text, std::move(detail));
    }
    void store(const std::string& key, std::string content, std::int64_t modified_s,
               const std::string& content_type) {
        objects_[key] = {std::move(content), modified_s, content_type};
    }
    static storage::ObjectInfo info_of(const Objects::value_type& entry) {
        storage::ObjectInfo info;
        info.key = entry.first;
        info.size = entry.second.content.size();
        info.modified_s = entry.second.modified_s;
        info.sha256 = digest_of(entry.second.content);
        info.etag = conf::hex(*info.sha256).substr(0, 32);
        info.content_type = entry.second.content_type;
        return info;
    }

    std::string pool_;
    storage::Space space_;
    Fault fault_;
    mutable std::mutex mutex_;
    Objects objects_;
    std::int64_t clock_ = 1'700'000'000;
    int lost_answers_ = 0;
};

}  // namespace tidepool::test
