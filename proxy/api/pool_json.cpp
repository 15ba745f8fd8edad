#include "proxy/api/pool_json.h"

#include "conf/bytes.h"
#include "conf/settings_schema.h"
#include "proxy/api/json_node.h"

#include <utility>

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

Json pool_json(const PoolSettings& pool) {
    Json json{
        {"name", pool.name},
        {"storage_type", name_of(pool.storage_type)},
        {"storage_tier", name_of(pool.storage_tier)},
        {"base_path", pool.base_path},
        {"marker", pool.marker},
        {"max_size", conf::format_size(pool.max_size_bytes)},
        {"priority", pool.priority},
        {"is_active", pool.is_active},
        {"is_default", pool.is_default},
        {"is_backup_target", pool.is_backup_target},
        {"mirror", pool.mirror},
        {"public_base_url", pool.public_base_url},
        {"upload_api_url", pool.upload_api_url},
        {"visibility", pool.is_private() ? "private" : "public"},
        {"strip_metadata", pool.strip_metadata},
        {"node_id", pool.node_id},
        {"description", pool.description},
        {"jobs", pool.jobs},
        {"job_bandwidth", conf::format_size(pool.job_bandwidth_bytes)},
        {"job_requests", pool.job_requests},
    };
    if (pool.storage_type == PoolSettings::Type::s3) {
        json["access_key_id"] = pool.access_key_id.source();
        json["secret_access_key"] = pool.secret_access_key.source();
        json["region"] = pool.region;
        json["bucket"] = pool.bucket;
        json["endpoint_url"] = pool.endpoint_url;
        json["download_url"] = pool.download_url;
        json["download_authorization"] = pool.download_authorization;
        json["download_authorization_lifetime"] =
            conf::format_duration(pool.download_authorization_lifetime);
        json["native_url"] = pool.native_url;
        json["path_prefix"] = pool.path_prefix;
        json["addressing"] = name_of_addressing(pool.addressing);
        json["serve"] = name_of_serve(pool.serve);
        json["origin"] = name_of_origin(pool.origin);
        json["daily_class_a_calls"] = pool.daily_class_a_calls;
        json["daily_class_b_calls"] = pool.daily_class_b_calls;
        json["daily_class_c_calls"] = pool.daily_class_c_calls;
        json["daily_egress"] = conf::format_size(pool.daily_egress_bytes);
        json["budget_warning_percent"] = pool.budget_warning_percent;
    }
    return json;
}

std::vector<FieldProblem> read_pool_json(const Json& json, conf::PoolSettings& into) {
    if (!json.is_object()) return {{"", "expected an object with the fields of a pool"}};
    conf::ProblemList problems("");
    conf::read_pool(node_of(json), into, problems);
    std::vector<FieldProblem> found;
    for (conf::Problem& problem : problems.take_sorted())
        found.push_back({std::move(problem.key), std::move(problem.message)});
    return found;
}

std::string text_of(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tidepool::api
