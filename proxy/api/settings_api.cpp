#include "proxy/api/settings_api.h"

#include "conf/bytes.h"
#include "conf/settings_schema.h"
#include "proxy/api/body_fields.h"
#include "proxy/api/query_fields.h"

#include <utility>

namespace tidepool::api {

namespace {

Json size_json(std::uint64_t bytes) {
    return conf::format_size(bytes);
}

Json time_json(std::chrono::milliseconds time) {
    return conf::format_duration(time);
}

Json source_json(const conf::Secret& secret) {
    return secret.empty() ? Json(nullptr) : Json(secret.source());
}

Json limits_json(const conf::LimitSettings& limits) {
    return {{"request_line", size_json(limits.request_line_bytes)},
            {"headers", size_json(limits.header_bytes)},
            {"header_fields", limits.header_fields},
            {"discard_body", size_json(limits.discard_body_bytes)},
            {"ranges", limits.ranges},
            {"connections", limits.connections},
            {"connections_per_peer", limits.connections_per_peer},
            {"connections_per_edge_peer", limits.connections_per_edge_peer},
            {"http2_streams", limits.http2_streams},
            {"http2_answers", limits.http2_answers}};
}

Json timeouts_json(const conf::TimeoutSettings& timeouts) {
    return {{"header", time_json(timeouts.header)},
            {"idle", time_json(timeouts.idle)},
            {"idle_edge", time_json(timeouts.idle_edge)},
            {"min_send_rate", size_json(timeouts.min_send_rate)},
            {"send_window", time_json(timeouts.send_window)},
            {"min_receive_rate", size_json(timeouts.min_receive_rate)},
            {"receive_window", time_json(timeouts.receive_window)},
            {"linger", time_json(timeouts.linger)}};
}

Json tiering_json(const conf::TieringSettings& tiering) {
    return {{"enabled", tiering.enabled},
            {"hot_keep_days_after_upload", tiering.hot_keep_days_after_upload},
            {"demote_if_no_views_days", tiering.demote_if_no_views_days},
            {"min_dwell_days_per_tier", tiering.min_dwell_days_per_tier},
            {"hot_watermark_high", tiering.hot_watermark_high},
            {"hot_watermark_low", tiering.hot_watermark_low},
            {"warm_keep_days", tiering.warm_keep_days},
            {"warm_no_views_days", tiering.warm_no_views_days},
            {"warm_watermark_high", tiering.warm_watermark_high},
            {"warm_watermark_low", tiering.warm_watermark_low},
            {"max_candidates_per_sweep", tiering.max_candidates_per_sweep},
            {"max_bytes_per_sweep", size_json(tiering.sweep_bytes)},
            {"sweep_interval", time_json(tiering.sweep_interval)},
            {"window", tiering.window},
            {"cohort_percent", tiering.cohort_percent},
            {"cohort_file", tiering.cohort_file},
            {"promote_hits", tiering.promote_hits},
            {"promote_window", time_json(tiering.promote_window)},
            {"max_error_percent", tiering.max_error_percent},
            {"views_flush", time_json(tiering.views_flush)}};
}

Json upload_json(const conf::UploadSettings& upload) {
    return {{"token_secret", source_json(upload.token_secret)},
            {"token_secret_previous", source_json(upload.token_secret_previous)},
            {"replicate_secret", source_json(upload.replicate_secret)},
            {"replicate_checksum", upload.replicate_checksum},
            {"max_size", size_json(upload.max_size_bytes)},
            {"max_side", upload.max_side},
            {"session_lifetime", time_json(upload.session_lifetime)},
            {"resumable_lifetime", time_json(upload.resumable_lifetime)},
            {"parallel", upload.parallel},
            {"parallel_tokenless", upload.parallel_tokenless},
            {"tokenless_per_address", upload.tokenless_per_address},
            {"sessions_per_owner", upload.sessions_per_owner},
            {"resumable_per_owner", upload.resumable_per_owner},
            {"rate_per_key", upload.rate_per_key},
            {"rate_per_address", upload.rate_per_address},
            {"fallback", upload.fallback},
            {"spool_path", upload.spool_path},
            {"spool_size", size_json(upload.spool_size_bytes)},
            {"spool_min_free", size_json(upload.spool_min_free_bytes)},
            {"public_base_url", upload.public_base_url},
            {"view_url", upload.view_url},
            {"allowed_origins", upload.allowed_origins}};
}

Json edge_json(const conf::EdgeSettings& edge) {
    using S = conf::EdgeSettings;
    Json ranges = Json::array();
    for (const conf::Cidr& range : edge.trusted_ranges)
        ranges.push_back(range.text());
    Json listeners = Json::array();
    for (const conf::ListenAddress& address : edge.client_ca_except)
        listeners.push_back(address.text());
    const char* const lock = edge.lock == S::Lock::enforce ? "enforce"
                             : edge.lock == S::Lock::log   ? "log"
                                                           : "off";
    return {{"trusted_ranges", std::move(ranges)},
            {"hosts", edge.hosts},
            {"secret_header", edge.secret_header},
            {"secret", source_json(edge.secret)},
            {"secret_previous", source_json(edge.secret_previous)},
            {"only_trusted_peers", edge.only_trusted_peers},
            {"client_ca_files", edge.client_ca_files},
            {"client_pins", edge.client_pins},
            {"client_ca_except", std::move(listeners)},
            {"lock", lock},
            {"refusal", edge.refusal == S::Refusal::forbid ? "forbid" : "close"},
            {"cache_tags", edge.cache_tags},
            {"cache_tag_prefix", edge.cache_tag_prefix}};
}

Json hotlink_json(const conf::HotlinkSettings& hotlink) {
    return {{"allowed_hosts", hotlink.allowed_hosts},
            {"prefixes", hotlink.prefixes},
            {"allow_empty", hotlink.allow_empty},
            {"exceptions", hotlink.exceptions}};
}

Json rate_limit_json(const std::vector<conf::RateLimitRule>& rules) {
    Json json = Json::array();
    for (const conf::RateLimitRule& rule : rules) {
        json.push_back({{"prefix", rule.prefix},
                        {"requests", rule.requests},
                        {"per", time_json(rule.per)},
                        {"burst", rule.burst}});
    }
    return json;
}

Json tls_json(const conf::TlsSettings& tls) {
    const bool is_newest = tls.min_version == conf::TlsSettings::Version::tls1_3;
    return {{"min_version", is_newest ? "1.3" : "1.2"},
            {"http2", tls.http2},
            {"ticket_rotation", time_json(tls.ticket_rotation)}};
}

Json certificate_json(const std::vector<conf::CertificateSettings>& certificates) {
    Json json = Json::array();
    for (const conf::CertificateSettings& each : certificates)
        json.push_back({{"chain_file", each.chain_file}, {"key_file", each.key_file}});
    return json;
}

Json listen_json(const std::vector<conf::ListenAddress>& addresses) {
    Json json = Json::array();
    for (const conf::ListenAddress& address : addresses)
        json.push_back(address.text());
    return json;
}

Json purge_json(const conf::PurgeSettings& purge) {
    using By = conf::PurgeSettings::By;
    const char* const by = purge.by == By::automatic ? "auto"
                           : purge.by == By::urls    ? "urls"
                           : purge.by == By::tags    ? "tags"
                                                     : "both";
    return {{"zone_id", purge.zone_id},
            {"api_token", source_json(purge.api_token)},
            {"api_url", purge.api_url},
            {"by", by},
            {"hosts", purge.hosts},
            {"origins", purge.origins},
            {"urls_per_call", purge.urls_per_call},
            {"calls_per_minute", purge.calls_per_minute},
            {"tags_per_call", purge.tags_per_call},
            {"tag_calls_per_minute", purge.tag_calls_per_minute},
            {"timeout", time_json(purge.timeout)},
            {"verify", purge.verify},
            {"verify_url", purge.verify_url}};
}

Json private_json(const conf::PrivateSettings& settings) {
    return {{"prefixes", settings.prefixes},
            {"signing_key", source_json(settings.signing_key)},
            {"signing_key_previous", source_json(settings.signing_key_previous)},
            {"ttl", time_json(settings.ttl)},
            {"quantum", time_json(settings.quantum)},
            {"edge_checks", settings.edge_checks}};
}

}  // namespace

Json settings_json(const conf::Settings& settings) {
    return {
        {"reload",
         {{"limits", limits_json(settings.limits)},
          {"timeouts", timeouts_json(settings.timeouts)},
          {"tiering", tiering_json(settings.tiering)}}},
        {"file",
         {{"edge", edge_json(settings.edge)},
          {"private", private_json(settings.private_images)},
          {"hotlink", hotlink_json(settings.hotlink)},
          {"rate_limits", {{"table", settings.rate_limits.table}}},
          {"rate_limit", rate_limit_json(settings.rate_limit)},
          {"tls", tls_json(settings.tls)},
          {"certificate", certificate_json(settings.certificates)}}},
        {"restart",
         {{"admin",
           {{"token", source_json(settings.admin.token)},
            {"request_body", size_json(settings.admin.request_body_bytes)}}},
          {"edge", {{"client_address_header", settings.edge.client_address_header}}},
          {"tls", {{"listen", listen_json(settings.tls.listen)}}},
          {"purge", purge_json(settings.purge)},
          {"jobs", {{"threads", settings.jobs.threads}, {"keep", time_json(settings.jobs.keep)}}},
          {"move", {{"grace", time_json(settings.move.grace)}}},
          {"delete",
           {{"backups", settings.deletion.backups},
            {"remember", time_json(settings.deletion.remember)}}},
          {"backup",
           {{"delay", time_json(settings.backup.delay)},
            {"interval", time_json(settings.backup.interval)}}},
          {"reconcile",
           {{"grace", time_json(settings.reconcile.grace)},
            {"max_change_percent", settings.reconcile.max_change_percent},
            {"quarantine_prefix", settings.reconcile.quarantine_prefix}}},
          {"upload", upload_json(settings.upload)}}}};
}

conf::Settings after_reload(const conf::Settings& old, const conf::Settings& file) {
    conf::Settings settings = old;
    settings.limits = file.limits;
    settings.timeouts = file.timeouts;
    settings.tiering = file.tiering;
    // Whether there is TLS at all was settled at the start.
    if (old.certificates.empty() == file.certificates.empty())
        settings.certificates = file.certificates;
    settings.tls.min_version = file.tls.min_version;
    settings.tls.http2 = file.tls.http2;
    settings.tls.ticket_rotation = file.tls.ticket_rotation;
    settings.edge = file.edge;
    settings.edge.client_address_header = old.edge.client_address_header;
    settings.private_images = file.private_images;
    settings.hotlink = file.hotlink;
    settings.rate_limits = file.rate_limits;
    settings.rate_limit = file.rate_limit;
    settings.types = file.types;
    settings.cache_control = file.cache_control;
    settings.log = file.log;
    // Who may order variants is a rule of the handlers, how they are made is not.
    settings.variants.signing_keys = file.variants.signing_keys;
    settings.variants.signing_salts = file.variants.signing_salts;
    settings.variants.signature_bytes = file.variants.signature_bytes;
    return settings;
}

std::vector<std::string> keys_for_restart(const conf::Settings& started,
                                          const conf::Settings& file) {
    conf::Settings taken = after_reload(started, file);
    taken.pools = file.pools;  // which come by way of the catalog
    // Whether views are counted at all was settled at the start.
    if ((started.tiering.views_flush.count() == 0) != (file.tiering.views_flush.count() == 0))
        taken.tiering.views_flush = started.tiering.views_flush;
    std::vector<std::string> keys;
    for (const conf::SectionSchema& section : conf::settings_schema()) {
        for (std::string& key : section.differences(taken, file))
            keys.push_back(std::move(key));
    }
    return keys;
}

ApiAnswer show_settings(const SettingsInForce& settings, const ApiCall& call) {
    if (auto wrong = check_fields(call.query, {})) return std::move(*wrong);
    Json json = settings_json(settings.settings);
    json["overridden"] = settings.overridden;
    return {.status = 200, .body = text_of(json), .fields = {}};
}

ApiAnswer change_settings(const SettingsMeans& means, const ApiCall& call) {
    if (auto wrong = check_fields(call.query, {})) return std::move(*wrong);
    const auto patch = parse_object(call.body);
    if (!patch) return patch.error();
    const auto problems = means.registry->change(*patch);
    if (!problems) return api_error(problems.error());
    if (!problems->empty()) return refused_fields(*problems);
    means.changed();
    return show_settings(means.in_force(), call);
}

}  // namespace tidepool::api
