#include "storage/driver.h"

#include "conf/fault_point.h"
#include "conf/log.h"
#include "storage/pulled_get.h"
#include "storage/streams.h"

#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

bool is_same_object(const ObjectInfo& one, const ObjectInfo& other) {
    if (one.file.has_value() != other.file.has_value() || one.size != other.size) return false;
    if (one.file) {
        if (one.file->device == other.file->device) return one.file->inode == other.file->inode;
        // A disk that is mounted twice, or by way of another program, can have two numbers, and its
        // files too. But nobody can say when a file is to have been changed, and a copy is made
        // after what it is a copy of.
        return one.file->modified_ns == other.file->modified_ns &&
               one.file->changed_ns == other.file->changed_ns;
    }
    const auto has_version = [](const ObjectInfo& each) {
        return !each.version_id.empty() && each.version_id != "null";
    };
    if (has_version(one) || has_version(other)) return one.version_id == other.version_id;
    return !one.etag.empty() && one.etag == other.etag && one.modified_s == other.modified_s;
}

Result<bool> exists(Driver& driver, std::string_view key) {
    const auto found = driver.head(key);
    if (found) return true;
    if (found.error().kind == ErrorKind::not_found) return false;
    return std::unexpected(found.error());
}

void remove_replaced(Driver& driver, const ObjectInfo& now) {
    if (now.version_id.empty()) return;
    if (const auto removed = driver.remove_older_versions(now.key, now.version_id); !removed)
        conf::log_warn("a replaced version stays key={} reason=\"{}\"", now.key,
                       removed.error().text);
}

Result<ObjectInfo> head_with_digest(Driver& driver, std::string_view key) {
    auto info = driver.head(key);
    if (!info || info->sha256) return info;
    HashingSink sink;
    info = driver.get(key, {}, sink);
    if (info) info->sha256 = sink.finish();
    return info;
}

std::string set_aside_name(std::string_view key, const ObjectInfo& info) {
    return fmt::format("{}-{}/{}", info.modified_s, info.size, key);
}

Result<void> Driver::settle(std::string_view) {
    return {};
}

Result<VersionPage> Driver::list_versions(std::string_view, const std::string&) {
    return VersionPage{};
}

Result<void> Driver::remove_version(std::string_view, std::string_view) {
    return {};
}

Result<void> Driver::remove_older_versions(std::string_view, std::string_view) {
    return {};
}

Result<Strays> Driver::sweep_strays(std::int64_t, bool) {
    return Strays{};
}

// A copy, and only once that is proved the object itself.
Result<void> Driver::set_aside(std::string_view key, const ObjectInfo& info,
                               std::string_view folder) {
    const std::string to_key = std::string(folder) + set_aside_name(key, info);
    const auto there = head(to_key);
    if (!there && there.error().kind != ErrorKind::not_found) return std::unexpected(there.error());
    const bool is_copied =
        there && there->size == info.size && !info.etag.empty() && there->etag == info.etag;
    if (!is_copied) {
        PutOptions options{.size = info.size, .sha256 = info.sha256};
        if (!info.content_type.empty()) options.content_type = info.content_type;
        const auto copied = copy_object(*this, key, *this, to_key, options);
        if (!copied) return std::unexpected(copied.error());
    }
    fault_point("reconcile.copied_aside");
    return remove(key);
}

Result<std::optional<ObjectInfo>> Driver::put_pushed(std::string_view, const Fill&,
                                                     const PutOptions&) {
    return std::optional<ObjectInfo>();
}

Result<std::vector<ObjectInfo>> Driver::heads(std::span<const std::string> keys) {
    std::vector<ObjectInfo> found;
    for (const std::string& key : keys) {
        auto info = head(key);
        if (!info && info.error().kind == ErrorKind::not_found) continue;
        if (!info) return std::unexpected(std::move(info.error()));
        found.push_back(std::move(*info));
    }
    return found;
}

Result<std::unique_ptr<StagedFile>> Driver::stage(std::string_view) {
    return nullptr;
}

std::unique_ptr<ByteSource> Driver::source(std::string_view key) {
    return std::make_unique<PulledGet>(*this, key);
}

Result<ObjectInfo> copy_object(Driver& from, std::string_view key, Driver& to,
                               std::string_view to_key, const PutOptions& options) {
    auto copied = to.copy_within_store(from, key, to_key, options);
    if (!copied) return std::unexpected(std::move(copied.error()));
    if (*copied) return std::move(**copied);
    const auto fill = [&](ByteSink& sink) -> Result<void> {
        auto read = from.get(key, {}, sink);
        if (!read) return std::unexpected(std::move(read.error()));
        return {};
    };
    auto pushed = to.put_pushed(to_key, fill, options);
    if (!pushed) return std::unexpected(std::move(pushed.error()));
    if (*pushed) return std::move(**pushed);
    const auto source = from.source(key);
    return to.put(to_key, *source, options);
}

}  // namespace tidepool::storage
