#include "proxy/api/pool_registry.h"

#include "conf/log.h"
#include "conf/nearest_name.h"
#include "conf/quote.h"
#include "conf/settings_check.h"
#include "conf/shared_folders.h"
#include "proxy/serve/hidden_pool.h"
#include "storage/visitor_urls.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace tidepool::api {

namespace {

using storage::KnownPool;
using storage::PoolRecord;

// Fields that are kept encrypted or stand in columns of their own.
constexpr std::string_view kKeyId = "access_key_id";
constexpr std::string_view kSecret = "secret_access_key";
constexpr std::string_view kActive = "is_active";
constexpr std::string_view kState = "state";
// Where the objects are; another value would make them unfindable.
constexpr std::array<std::string_view, 5> kPlace{"storage_type", "base_path", "bucket",
                                                 "endpoint_url", "path_prefix"};

constexpr std::array<std::string_view, 3> kStates{"active", "disabled", "draining"};

std::string context_of(std::string_view name) {
    return fmt::format("pool {}", name);
}

std::unexpected<PoolRefusal> refuse(int status, std::string code, std::string message,
                                    std::vector<FieldProblem> problems = {}) {
    return std::unexpected(
        PoolRefusal{status, std::move(code), std::move(message), std::move(problems)});
}

std::unexpected<PoolRefusal> refuse_fields(std::vector<FieldProblem> problems) {
    return refuse(422, "invalid_pool", "the pool cannot be like this", std::move(problems));
}

// A failure of the catalog, for which nobody who asks can do anything but wait.
std::unexpected<PoolRefusal> refuse(const Error& error) {
    switch (error.kind) {
        case ErrorKind::conflict:
            return refuse(409, "conflict", error.text);
        case ErrorKind::not_found:
            return refuse(404, "not_found", error.text);
        default:
            conf::log_error("pools not read or changed reason=\"{}\"", error.text);
            return refuse(503, "catalog_unavailable",
                          "the catalog cannot be used now; see the log");
    }
}

// A credential as it was sent, taken out of the fields; nothing where it is not among them.
std::optional<std::string> take_credential(Json& fields, std::string_view key,
                                           std::vector<FieldProblem>& problems) {
    const auto at = fields.find(key);
    if (at == fields.end()) return std::nullopt;
    std::optional<std::string> value = "";
    if (at->is_string()) {
        value = at->get<std::string>();
    } else if (!at->is_null()) {
        problems.push_back({std::string(key), "expected a text"});
    }
    // Else whoever may make pools could have any file of the server's sent to a host of theirs.
    if (value->starts_with("env:") || value->starts_with("file:")) {
        problems.push_back({std::string(key),
                            "expected the value itself: env: and file: belong to the configuration "
                            "file"});
    }
    fields.erase(at);
    return value;
}

// The state that the fields ask for: by its name, or by is_active as in the file.
void take_state(Json& fields, PoolRecord::State& state, std::vector<FieldProblem>& problems) {
    if (const auto at = fields.find(kActive); at != fields.end()) {
        const bool wanted = at->is_null() || (at->is_boolean() && at->get<bool>());
        if (!at->is_null() && !at->is_boolean())
            problems.push_back({std::string(kActive), "expected true or false"});
        if (!wanted) {
            state = PoolRecord::State::disabled;
        } else if (state == PoolRecord::State::disabled) {
            state = PoolRecord::State::active;
        }
        fields.erase(at);
    }
    if (const auto at = fields.find(kState); at != fields.end()) {
        const auto found =
            at->is_string() ? std::ranges::find(kStates, at->get<std::string>()) : kStates.end();
        if (found == kStates.end()) {
            problems.push_back(
                {std::string(kState), R"(expected "active", "disabled" or "draining")"});
        } else {
            state = static_cast<PoolRecord::State>(found - kStates.begin());
        }
        fields.erase(at);
    }
}

bool is_active(const KnownPool& pool) {
    return pool.settings.is_active && pool.state != PoolRecord::State::disabled &&
           pool.problem.empty();
}

// What is not kept with the other fields.
void erase_apart(Json& fields) {
    for (const std::string_view key : {kKeyId, kSecret, kActive})
        fields.erase(std::string(key));
}

// Ranges and contradictions, with the whole configuration around the pool.
std::vector<FieldProblem> problems_with(const conf::Settings& file,
                                        const std::vector<KnownPool>& others,
                                        const KnownPool& pool) {
    conf::Settings all = file;
    all.pools.clear();
    for (const KnownPool& other : others) {
        if (other.problem.empty() && other.id != pool.id) all.pools.push_back(other.settings);
    }
    all.pools.push_back(pool.settings);
    const std::string prefix = fmt::format("pool[{}].", all.pools.size());
    std::vector<FieldProblem> problems;
    const auto take_over = [&](const conf::Findings& findings) {
        for (const conf::Finding& finding : findings) {
            const auto ours = std::ranges::find_if(
                finding.keys, [&](const std::string& key) { return key.starts_with(prefix); });
            if (ours != finding.keys.end())
                problems.push_back({ours->substr(prefix.size()), finding.message});
        }
    };
    take_over(conf::find_wrong_settings(all));
    if (problems.empty() && !pool.settings.base_path.empty())
        take_over(conf::find_shared_folders(all));
    return problems;
}

Json view_of(const KnownPool& pool, const std::vector<storage::Account>& accounts) {
    Json view{{"id", pool.id}};
    view.update(pool_json(pool.settings));
    const bool is_from_file = pool.origin == PoolRecord::Origin::file;
    if (!is_from_file) {
        view.erase(std::string(kKeyId));
        view.erase(std::string(kSecret));
        view["has_credentials"] = !pool.settings.secret_access_key.empty();
    }
    view["managed_by"] = is_from_file ? "file" : "api";
    const auto state = is_active(pool) ? pool.state : PoolRecord::State::disabled;
    view[std::string(kState)] = kStates.at(static_cast<std::size_t>(state));
    if (!pool.problem.empty()) view["problem"] = pool.problem;
    Json usage = Json::object();
    std::uint64_t bytes = 0;
    for (const auto role :
         {storage::Role::original, storage::Role::variant, storage::Role::backup}) {
        const auto account = std::ranges::find_if(accounts, [&](const storage::Account& each) {
            return each.pool == pool.id && each.role == role;
        });
        const storage::Account found = account == accounts.end() ? storage::Account{} : *account;
        bytes += found.bytes;
        usage[std::string(storage::name_of(role))] = {{"count", found.count},
                                                      {"bytes", found.bytes}};
    }
    view["used_bytes"] = bytes;
    view["usage"] = std::move(usage);
    return view;
}

}  // namespace

PoolRegistry::PoolRegistry(const conf::Settings& file, storage::Catalog* catalog,
                           std::optional<conf::SealingKey> key)
    : catalog_(catalog), key_(std::move(key)), file_(file) {}

Result<void> PoolRegistry::declare(const conf::Settings& file, std::chrono::seconds settle) {
    const std::lock_guard lock(mutex_);
    if (catalog_ != nullptr) {
        const auto records = catalog_->pools();
        if (!records) return std::unexpected(records.error());
        std::vector<KnownPool> pools;  // as they were, and as they become
        for (const Record& record : *records)
            pools.push_back(decode(record));
        for (const conf::PoolSettings& pool : file.pools)
            pools.push_back({.settings = pool});
        for (const conf::PoolSettings& pool : file.pools) {
            const auto record = std::ranges::find(*records, pool.name, &Record::name);
            const auto ours = std::ranges::find(file_.pools, pool.name, &conf::PoolSettings::name);
            // Another process may have declared what this one has not answered by until now.
            const bool was_public =
                (record != records->end() && !decode(*record).settings.is_private()) ||
                (ours != file_.pools.end() && !ours->is_private());
            if (pool.is_private() && was_public) {
                // Restarts change the rest of what tells where visitors find images.
                if (auto purged =
                        purge_hidden(storage::with_hosts_of(file_, file.edge), pools, pool, settle);
                    !purged)
                    return purged;
            }
            const auto declared = catalog_->declare_pool(pool.name, text_of(pool_json(pool)));
            if (!declared) return std::unexpected(declared.error());
        }
    }
    file_ = file;
    return {};
}

Result<void> PoolRegistry::declare_new() {
    const auto records = catalog_->pools();
    if (!records) return std::unexpected(records.error());
    for (const conf::PoolSettings& pool : file().pools) {
        const auto record = std::ranges::find(*records, pool.name, &Record::name);
        if (record != records->end() && record->origin == Record::Origin::file) continue;
        const auto declared = catalog_->declare_pool(pool.name, text_of(pool_json(pool)));
        if (!declared) return std::unexpected(declared.error());
    }
    return {};
}

conf::Settings PoolRegistry::file() const {
    const std::lock_guard lock(mutex_);
    return file_;
}

Result<std::vector<KnownPool>> PoolRegistry::load() {
    std::vector<Record> records;
    if (catalog_ != nullptr) {
        auto read = catalog_->pools();
        if (!read) return std::unexpected(std::move(read.error()));
        records = std::move(*read);
    }
    const conf::Settings file = this->file();
    std::vector<KnownPool> pools;
    for (const conf::PoolSettings& settings : file.pools) {
        KnownPool pool{.settings = settings};
        const auto record = std::ranges::find(records, settings.name, &Record::name);
        if (record != records.end()) {
            pool.id = record->id;
            pool.state = record->state;
        }
        pool.settings.is_active = is_active(pool);
        pools.push_back(std::move(pool));
    }
    for (const Record& record : records) {
        if (record.origin != Record::Origin::api) continue;
        KnownPool pool = decode(record);
        if (pool.problem.empty()) {
            const auto problems = problems_with(file, pools, pool);
            if (!problems.empty())
                pool.problem = fmt::format("{}: {}", problems[0].field, problems[0].message);
        }
        complain(record.name, pool.problem);
        pool.settings.is_active = is_active(pool);
        pools.push_back(std::move(pool));
    }
    return pools;
}

void PoolRegistry::complain(const std::string& pool, const std::string& why) {
    const std::lock_guard lock(mutex_);
    if (std::exchange(complaints_[pool], why) == why || why.empty()) return;
    conf::log_error("pool cannot be used pool={} reason=\"{}\"", pool, why);
}

KnownPool PoolRegistry::decode(const Record& record) const {
    KnownPool pool{.settings = {}, .id = record.id, .origin = record.origin, .state = record.state};
    pool.settings.name = record.name;
    Json fields = Json::parse(record.settings, nullptr, false);
    if (!fields.is_object()) {
        pool.problem = "its settings in the catalog are no JSON";
        return pool;
    }
    erase_apart(fields);
    const auto problems = read_pool_json(fields, pool.settings);
    if (!problems.empty())
        pool.problem = fmt::format("{}: {}", problems[0].field, problems[0].message);
    if (pool.problem.empty()) pool.problem = open_secrets(record, pool.settings);
    return pool;
}

// "", or why they cannot be read.
std::string PoolRegistry::open_secrets(const Record& record, conf::PoolSettings& into) const {
    if (record.secrets.empty()) return "";
    if (!key_) return "it has credentials, and catalog.secrets_key_file is not set";
    const auto opened = key_->open(record.secrets, context_of(record.name));
    if (!opened) return "its credentials: " + opened.error().text;
    const Json secrets = Json::parse(*opened, nullptr, false);
    if (!secrets.is_object()) return "its credentials are no JSON";
    into.access_key_id = conf::Secret("", secrets.value(kKeyId, ""));
    into.secret_access_key = conf::Secret("", secrets.value(kSecret, ""));
    return "";
}

PoolResult<PoolRegistry::Record> PoolRegistry::encode(const KnownPool& pool) const {
    const conf::PoolSettings& settings = pool.settings;
    Record record{.id = pool.id,
                  .name = settings.name,
                  .settings = text_of(pool_json(settings)),
                  .secrets = {},
                  .origin = pool.origin,
                  .state = pool.state};
    if (settings.access_key_id.empty() && settings.secret_access_key.empty()) return record;
    if (!key_) {
        return refuse(409, "no_secrets_key",
                      "credentials can only be kept encrypted: set catalog.secrets_key_file to a "
                      "file of 32 random bytes and restart");
    }
    const Json secrets{{kKeyId, settings.access_key_id.reveal()},
                       {kSecret, settings.secret_access_key.reveal()}};
    record.secrets = key_->seal(text_of(secrets), context_of(settings.name));
    return record;
}

PoolResult<std::vector<KnownPool>> PoolRegistry::load_or_refuse() {
    if (catalog_ == nullptr) {
        return refuse(409, "no_catalog",
                      "pools made at run time are kept in a catalog: set catalog.url and restart");
    }
    auto pools = load();
    if (!pools) return refuse(pools.error());
    return std::move(*pools);
}

PoolResult<KnownPool> PoolRegistry::find(std::string_view name) {
    auto pools = load_or_refuse();
    if (!pools) return std::unexpected(std::move(pools.error()));
    std::vector<std::string_view> names;
    for (const KnownPool& pool : *pools) {
        if (pool.settings.name == name) return pool;
        names.push_back(pool.settings.name);
    }
    std::string text = fmt::format("there is no pool {}", conf::quote(name));
    if (const auto nearest = conf::nearest_name(name, names))
        text += fmt::format("; did you mean {}?", conf::quote(*nearest));
    return refuse(404, "not_found", std::move(text));
}

PoolResult<KnownPool> PoolRegistry::create(const Json& fields) {
    const std::lock_guard lock(change_mutex_);
    const auto others = load_or_refuse();
    if (!others) return std::unexpected(others.error());
    if (!fields.is_object())
        return refuse(400, "bad_request", "expected a JSON object with the fields of a pool");
    KnownPool pool{.settings = {}, .origin = Record::Origin::api};
    Json rest = fields;
    std::vector<FieldProblem> problems;
    const auto key_id = take_credential(rest, kKeyId, problems);
    const auto secret = take_credential(rest, kSecret, problems);
    take_state(rest, pool.state, problems);
    std::ranges::move(read_pool_json(rest, pool.settings), std::back_inserter(problems));
    if (!problems.empty()) return refuse_fields(std::move(problems));
    pool.settings.access_key_id = conf::Secret("", key_id.value_or(""));
    pool.settings.secret_access_key = conf::Secret("", secret.value_or(""));
    pool.settings.is_active = is_active(pool);
    const bool is_taken = std::ranges::any_of(
        *others, [&](const KnownPool& other) { return other.settings.name == pool.settings.name; });
    if (is_taken) {
        return refuse(409, "conflict",
                      fmt::format("there is a pool {} already", conf::quote(pool.settings.name)));
    }
    problems = problems_with(file(), *others, pool);
    if (!problems.empty()) return refuse_fields(std::move(problems));
    auto record = encode(pool);
    if (!record) return std::unexpected(std::move(record.error()));
    const auto created = catalog_->create_pool(*record);
    if (!created) return refuse(created.error());
    pool.id = created->id;
    conf::log_info("pool created pool={} storage_type={}", pool.settings.name,
                   name_of(pool.settings.storage_type));
    return pool;
}

PoolResult<KnownPool> PoolRegistry::change(std::string_view name, const Json& fields) {
    const std::lock_guard lock(change_mutex_);
    auto found = find(name);
    if (!found) return found;
    if (!fields.is_object())
        return refuse(400, "bad_request", "expected a JSON object with the fields to change");
    KnownPool pool = std::move(*found);
    const bool was_private = pool.settings.is_private();
    Json rest = fields;
    std::vector<FieldProblem> problems;
    take_state(rest, pool.state, problems);
    const bool is_from_file = pool.origin == Record::Origin::file;
    if (is_from_file && !rest.empty()) {
        return refuse(409, "managed_by_file",
                      "the configuration file manages this pool, so change it there and reload; "
                      "here only its state can be changed");
    }
    if (is_from_file) {
        if (!problems.empty()) return refuse_fields(std::move(problems));
    } else {
        auto merged = merge(pool, std::move(rest), std::move(problems));
        if (!merged) return std::unexpected(std::move(merged.error()));
        pool.settings = std::move(*merged);
        pool.problem.clear();
    }
    pool.settings.is_active = pool.state != Record::State::disabled;
    const auto others = load_or_refuse();
    if (!others) return std::unexpected(others.error());
    problems = problems_with(file(), *others, pool);
    if (!problems.empty()) return refuse_fields(std::move(problems));
    if (is_from_file) {
        if (const auto changed = change_state(pool); !changed)
            return std::unexpected(changed.error());
    } else {
        auto record = encode(pool);
        if (!record) return std::unexpected(std::move(record.error()));
        if (pool.settings.is_private() && !was_private) {
            if (const auto purged = purge_hidden(file(), *others, pool.settings, {}); !purged)
                return refuse(purged.error());
        }
        if (const auto changed = catalog_->change_pool(*record); !changed)
            return refuse(changed.error());
    }
    conf::log_info("pool changed pool={} state={}", pool.settings.name,
                   kStates.at(static_cast<std::size_t>(pool.state)));
    return pool;
}

// Before the change, which whoever dies between the two makes for nothing, but not without a purge.
Result<void> PoolRegistry::purge_hidden(const conf::Settings& file,
                                        const std::vector<KnownPool>& pools,
                                        const conf::PoolSettings& pool,
                                        std::chrono::seconds settle) {
    const std::int64_t now_s = std::time(nullptr);
    auto job = serve::hidden_pool_purge(file, pools, pool, now_s + settle.count());
    if (!job) return {};
    if (const auto queued = catalog_->queue_job(*job, now_s); !queued)
        return std::unexpected(queued.error());
    return {};
}

// Of a pool of the file, whose row is otherwise declare()'s.
PoolResult<void> PoolRegistry::change_state(const KnownPool& pool) {
    auto records = catalog_->pools();
    if (!records) return refuse(records.error());
    const auto record = std::ranges::find(*records, pool.id, &Record::id);
    if (record == records->end()) return refuse(404, "not_found", "the pool has just been removed");
    record->state = pool.state;
    if (const auto changed = catalog_->change_pool(*record); !changed)
        return refuse(changed.error());
    return {};
}

// The settings of a pool with some fields changed. `problems` are those found so far.
PoolResult<conf::PoolSettings> PoolRegistry::merge(const KnownPool& pool, Json fields,
                                                   std::vector<FieldProblem> problems) {
    const auto key_id = take_credential(fields, kKeyId, problems);
    const auto secret = take_credential(fields, kSecret, problems);
    const Json before = pool_json(pool.settings);
    Json merged = before;
    erase_apart(merged);
    merged.merge_patch(fields);
    conf::PoolSettings changed;
    std::ranges::move(read_pool_json(merged, changed), std::back_inserter(problems));
    if (problems.empty() && changed.name != pool.settings.name)
        problems.push_back({"name", "a pool keeps its name"});
    if (!problems.empty()) return refuse_fields(std::move(problems));

    const Json after = pool_json(changed);
    for (const std::string_view key : kPlace) {
        if (before.value(key, Json()) != after.value(key, Json())) {
            problems.push_back({std::string(key),
                                "cannot be changed while the pool has objects, "
                                "which would no longer be found"});
        }
    }
    if (!problems.empty()) {
        const auto empty = is_empty(pool.id);
        if (!empty) return std::unexpected(empty.error());
        if (!*empty) return refuse(409, "not_empty", "the pool has objects", std::move(problems));
    }
    changed.access_key_id = key_id ? conf::Secret("", *key_id) : pool.settings.access_key_id;
    changed.secret_access_key =
        secret ? conf::Secret("", *secret) : pool.settings.secret_access_key;
    return changed;
}

PoolResult<bool> PoolRegistry::is_empty(storage::PoolId pool) {
    const auto accounts = catalog_->accounts();
    if (!accounts) return refuse(accounts.error());
    return std::ranges::none_of(*accounts, [pool](const storage::Account& account) {
        return account.pool == pool && account.count > 0;
    });
}

PoolResult<void> PoolRegistry::remove(std::string_view name) {
    const std::lock_guard lock(change_mutex_);
    const auto pool = find(name);
    if (!pool) return std::unexpected(pool.error());
    if (pool->origin == Record::Origin::file) {
        return refuse(409, "managed_by_file",
                      "the configuration file manages this pool, so remove it there and reload");
    }
    const auto removed = catalog_->remove_pool(pool->id);
    if (!removed && removed.error().kind == ErrorKind::conflict) {
        return refuse(409, "not_empty",
                      "the pool still holds objects: drain it and move them first");
    }
    if (!removed) return refuse(removed.error());
    conf::log_info("pool removed pool={}", name);
    return {};
}

PoolResult<Json> PoolRegistry::shown(const std::vector<KnownPool>& pools) {
    const auto accounts = catalog_->accounts();
    if (!accounts) return refuse(accounts.error());
    Json views = Json::array();
    for (const KnownPool& pool : pools)
        views.push_back(view_of(pool, *accounts));
    return views;
}

PoolResult<Json> PoolRegistry::show(std::string_view name) {
    const auto pool = find(name);
    if (!pool) return std::unexpected(pool.error());
    auto views = shown({*pool});
    if (!views) return views;
    return views->front();
}

PoolResult<Json> PoolRegistry::show_all() {
    const auto pools = load_or_refuse();
    if (!pools) return std::unexpected(pools.error());
    return shown(*pools);
}

}  // namespace tidepool::api
