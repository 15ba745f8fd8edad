// A driver that passes calls on to one that the test keeps.
#pragma once

#include "storage/driver.h"

namespace tidepool::test {

// For whoever wants to own a driver. The other one outlives it.
class SharedDriver final : public storage::Driver {
  public:
    explicit SharedDriver(storage::Driver& driver) : driver_(driver) {}
    const std::string& pool() const override { return driver_.pool(); }
    Result<storage::ObjectInfo> put(std::string_view key, storage::ByteSource& source,
                                    const storage::PutOptions& options) override {
        return driver_.put(key, source, options);
    }
    Result<storage::ObjectInfo> get(std::string_view key, const storage::GetRange& range,
                                    storage::ByteSink& sink) override {
        return driver_.get(key, range, sink);
    }
    Result<storage::ObjectInfo> head(std::string_view key) override { return driver_.head(key); }
    Result<void> settle(std::string_view key) override { return driver_.settle(key); }
    Result<void> remove(std::string_view key) override { return driver_.remove(key); }
    Result<storage::ListPage> list(std::string_view prefix, const std::string& next,
                                   std::size_t limit) override {
        return driver_.list(prefix, next, limit);
    }
    Result<storage::VersionPage> list_versions(std::string_view prefix,
                                               const std::string& next) override {
        return driver_.list_versions(prefix, next);
    }
    Result<void> remove_version(std::string_view key, std::string_view version_id) override {
        return driver_.remove_version(key, version_id);
    }
    Result<void> remove_older_versions(std::string_view key, std::string_view version_id) override {
        return driver_.remove_older_versions(key, version_id);
    }
    Result<storage::Strays> sweep_strays(std::int64_t before_s, bool only_count) override {
        return driver_.sweep_strays(before_s, only_count);
    }
    Result<void> set_aside(std::string_view key, const storage::ObjectInfo& info,
                           std::string_view folder) override {
        return driver_.set_aside(key, info, folder);
    }
    Result<std::optional<storage::ObjectInfo>> copy_within_store(
        storage::Driver& from, std::string_view key, std::string_view to_key,
        const storage::PutOptions& options) override {
        return driver_.copy_within_store(from, key, to_key, options);
    }
    Result<storage::Space> space() override { return driver_.space(); }
    Result<std::vector<std::string>> check(bool for_writing) override {
        return driver_.check(for_writing);
    }

  private:
    storage::Driver& driver_;
};

}  // namespace tidepool::test
