// The databases that every test of the catalog's interface is run against.
#pragma once

#include "storage/catalog_sqlite.h"
#include "tests/support/folder.h"

#include <memory>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

namespace tidepool::test {

// A catalog of a test's own. open() may be called again: another process would see the same.
class SqliteBackend {
  public:
    std::unique_ptr<storage::Catalog> open() const {
        auto opened = storage::open_sqlite_catalog(path());
        if (!opened) FAIL(opened.error().text);
        return std::move(*opened);
    }
    std::string path() const { return folder_.path("catalog.db"); }

  private:
    Folder folder_;
};

// A test of the interface; TestType is the backend.
#define CATALOG_TEST(name, tags) \
    TEMPLATE_TEST_CASE(name, "[storage][catalog]" tags, tidepool::test::SqliteBackend)

// The value of a call that must succeed.
template <class T>
T value_of(Result<T> result) {
    if (!result) FAIL(result.error().text);
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// A new pool; its id.
inline storage::PoolId make_pool(storage::Catalog& catalog, const std::string& name) {
    return value_of(catalog.declare_pool(name, "{}")).id;
}

inline storage::ObjectRecord make_object(const std::string& key, storage::PoolId pool,
                                         std::uint64_t size = 100) {
    storage::ObjectRecord object = storage::object_record(key, pool);
    object.size = size;
    object.modified_s = 1'700'000'000;
    object.added_s = 1'700'000'100;
    return object;
}

// Invariant 5.
inline void check_accounts(storage::Catalog& catalog) {
    const auto recount = value_of(catalog.recount());
    CHECK(recount.accounts == recount.rows);
}

}  // namespace tidepool::test
