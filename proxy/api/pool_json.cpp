#include "proxy/api/pool_json.h"

#include <nlohmann/json.hpp>

namespace tidepool::api {

namespace {

using conf::PoolSettings;

std::string_view name_of_serve(PoolSettings::Serve serve) {
    return serve == PoolSettings::Serve::proxy ? "proxy" : "redirect";
}

std::string_view name_of_origin(PoolSettings::Origin origin) {
    switch (origin) {
        case PoolSettings::Origin::s3:
            return "s3";
        case PoolSettings::Origin::friendly:
            return "friendly";
    }
    return "unknown";
}

std::string_view name_of_addressing(PoolSettings::Addressing addressing) {
    return addressing == PoolSettings::Addressing::path ? "path" : "virtual_host";
}

}  // namespace

std::string_view name_of(PoolSettings::Type type) {
    switch (type) {
        case PoolSettings::Type::local:
            return "local";
        case PoolSettings::Type::nfs:
            return "nfs";
        case PoolSettings::Type::s3:
            return "s3";
    }
    return "unknown";
}

std::string_view name_of(PoolSettings::Tier tier) {
    switch (tier) {
        case PoolSettings::Tier::hot:
            return "hot";
        case PoolSettings::Tier::warm:
            return "warm";
        case PoolSettings::Tier::cold:
            return "cold";
        case PoolSettings::Tier::archive:
            return "archive";
    }
    return "unknown";
}

std::string pool_json(const PoolSettings& pool) {
    nlohmann::ordered_json json{
        {"name", pool.name},
        {"storage_type", name_of(pool.storage_type)},
        {"storage_tier", name_of(pool.storage_tier)},
        {"base_path", pool.base_path},
        {"max_size", pool.max_size_bytes},
        {"priority", pool.priority},
        {"is_active", pool.is_active},
        {"is_default", pool.is_default},
        {"is_backup_target", pool.is_backup_target},
        {"public_base_url", pool.public_base_url},
        {"upload_api_url", pool.upload_api_url},
        {"node_id", pool.node_id},
        {"description", pool.description},
    };
    if (pool.storage_type == PoolSettings::Type::s3) {
        json["access_key_id"] = pool.access_key_id.source();
        json["secret_access_key"] = pool.secret_access_key.source();
        json["region"] = pool.region;
        json["bucket"] = pool.bucket;
        json["endpoint_url"] = pool.endpoint_url;
        json["download_url"] = pool.download_url;
        json["path_prefix"] = pool.path_prefix;
        json["addressing"] = name_of_addressing(pool.addressing);
        json["serve"] = name_of_serve(pool.serve);
        json["origin"] = name_of_origin(pool.origin);
        json["daily_class_a_calls"] = pool.daily_class_a_calls;
        json["daily_class_b_calls"] = pool.daily_class_b_calls;
        json["daily_class_c_calls"] = pool.daily_class_c_calls;
        json["daily_egress"] = pool.daily_egress_bytes;
        json["budget_warning_percent"] = pool.budget_warning_percent;
    }
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace tidepool::api
