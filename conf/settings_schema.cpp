#include "conf/settings_schema.h"

#include "conf/bytes.h"
#include "conf/field.h"
#include "conf/host_pattern.h"
#include "conf/text_rules.h"
#include "conf/trusted_ranges.h"
#include "conf/value_kinds.h"

#include <fmt/format.h>

namespace tidepool::conf {

namespace {

using namespace std::chrono_literals;

template <class Section>
using Fields = std::vector<FieldOf<Section>>;

constexpr std::uint64_t kMostPoolBytes = 1024 * kTiB;
constexpr std::int64_t kMostCalls = 1'000'000'000'000;
constexpr std::int64_t kMostPixels = 1'000'000'000;
constexpr std::int64_t kMostSide = 16'384;  // of a WebP, and a little more

std::vector<std::string_view> keys_of(const std::vector<Field>& fields) {
    std::vector<std::string_view> keys;
    keys.reserve(fields.size());
    for (const Field& field : fields)
        keys.push_back(field.key);
    return keys;
}

// Their section is that of all of them.
template <class Section>
std::vector<Field> list_of(const Fields<Section>& fields) {
    std::vector<Field> list;
    list.reserve(fields.size());
    for (const FieldOf<Section>& each : fields)
        list.push_back(each.field);
    return list;
}

// `place`: of the section within Settings.
SectionSchema make_section(std::string_view name, std::size_t place,
                           const std::vector<Field>& fields) {
    const auto read = [name, place, fields](const Node& node, Settings& into,
                                            ProblemList& problems) {
        if (node.kind != Node::Kind::table)
            return add_unexpected(node, fmt::format("a table [{}]", name), problems);
        read_fields(node, fields, reinterpret_cast<char*>(&into) + place, problems);
    };
    const auto check = [name, place, fields](const Settings& settings, Findings& findings) {
        check_fields(reinterpret_cast<const char*>(&settings) + place, std::string(name), fields,
                     findings);
    };
    const auto differences = [name, place, fields](const Settings& one, const Settings& other) {
        return differing_fields(reinterpret_cast<const char*>(&one) + place,
                                reinterpret_cast<const char*>(&other) + place, std::string(name),
                                fields);
    };
    return {name, false, keys_of(fields), read, check, differences};
}

template <class Section>
SectionSchema section(std::string_view name, Section Settings::* member,
                      const Fields<Section>& fields) {
    return make_section(name, place_of(member), list_of(fields));
}

// Sections of which there can be several: a new one, and all of them, by their addresses; and
// whether all of them are the same in two settings.
struct Several {
    std::function<void*(Settings&)> add;
    std::function<void(const Settings&, const std::function<void(const void*)>&)> visit;
    std::function<bool(const Settings&, const Settings&)> is_same;
};

SectionSchema make_repeated_section(std::string_view name, const Several& several,
                                    const std::vector<Field>& fields) {
    const auto read = [name, add = several.add, fields](const Node& node, Settings& into,
                                                        ProblemList& problems) {
        const std::string expected = fmt::format("tables [[{}]]", name);
        if (node.kind != Node::Kind::list) return add_unexpected(node, expected, problems);
        for (const Node& item : node.items) {
            // One for each item, right or wrong, so that the numbers in messages stay those of the
            // file.
            void* const each = add(into);
            if (item.kind != Node::Kind::table) {
                add_unexpected(item, expected, problems);
            } else {
                read_fields(item, fields, each, problems);
            }
        }
    };
    const auto check = [name, visit = several.visit, fields](const Settings& settings,
                                                             Findings& findings) {
        std::size_t number = 0;
        visit(settings, [&](const void* each) {
            check_fields(each, fmt::format("{}[{}]", name, ++number), fields, findings);
        });
    };
    const auto differences = [name, is_same = several.is_same](const Settings& one,
                                                               const Settings& other) {
        return is_same(one, other) ? std::vector<std::string>()
                                   : std::vector<std::string>{std::string(name)};
    };
    return {name, true, keys_of(fields), read, check, differences};
}

template <class Section>
SectionSchema repeated_section(std::string_view name, std::vector<Section> Settings::* member,
                               const Fields<Section>& fields) {
    const Several several{
        [member](Settings& into) -> void* { return &(into.*member).emplace_back(); },
        [member](const Settings& settings, const std::function<void(const void*)>& take) {
            for (const Section& each : settings.*member)
                take(&each);
        },
        [member](const Settings& one, const Settings& other) {
            return one.*member == other.*member;
        }};
    return make_repeated_section(name, several, list_of(fields));
}

Fields<ServerSettings> server_fields() {
    using S = ServerSettings;
    return {
        field("listen", &S::listen, ListenList{.min_items = 1}),
        field("threads", &S::threads, Count{0, 256}),
        field("socket_mode", &S::socket_mode, FileMode{}),
        field("backlog", &S::backlog, Count{1, 65'535}),
        field("defer_accept", &S::defer_accept, Flag{}),
        field("io_uring", &S::io_uring, Flag{}),
        field("realtime", &S::realtime, Flag{}),
        field("url_prefix", &S::url_prefix, Text{wrong_in_url_prefix}),
        field("drain_timeout", &S::drain_timeout, Duration{0s, 10min}),
        field("drain_idle", &S::drain_idle, Duration{0s, 10min}),
    };
}

Fields<LimitSettings> limit_fields() {
    using S = LimitSettings;
    return {
        field("request_line", &S::request_line_bytes, Size{256, 64 * kKiB}),
        field("headers", &S::header_bytes, Size{kKiB, kMiB}),
        field("header_fields", &S::header_fields, Count{8, 10'000}),
        field("discard_body", &S::discard_body_bytes, Size{0, 16 * kMiB}),
        field("ranges", &S::ranges, Count{1, 300}),
        field("connections", &S::connections, Count{1, 1'000'000}),
        field("connections_per_peer", &S::connections_per_peer, Count{1, 1'000'000}),
        field("connections_per_edge_peer", &S::connections_per_edge_peer, Count{1, 1'000'000}),
        field("http2_streams", &S::http2_streams, Count{1, 1000}),
        field("http2_answers", &S::http2_answers, Count{1, 1'000'000}),
    };
}

Fields<TimeoutSettings> timeout_fields() {
    using S = TimeoutSettings;
    return {
        field("header", &S::header, Duration{100ms, 5min}),
        field("idle", &S::idle, Duration{100ms, 1h}),
        field("idle_edge", &S::idle_edge, Duration{100ms, 1h}),
        field("min_send_rate", &S::min_send_rate, Size{0, kGiB}),
        field("send_window", &S::send_window, Duration{1s, 10min}),
        field("min_receive_rate", &S::min_receive_rate, Size{0, kGiB}),
        field("receive_window", &S::receive_window, Duration{1s, 10min}),
        field("linger", &S::linger, Duration{0s, 60s}),
    };
}

Fields<WorkerSettings> worker_fields() {
    using S = WorkerSettings;
    return {
        field("threads_per_pool", &S::threads_per_pool, Count{1, 256}),
        field("queue", &S::queue, Count{1, 1'000'000}),
        field("wait_timeout", &S::wait_timeout, Duration{1s, 10min}),
    };
}

Fields<CacheSettings> cache_fields() {
    using S = CacheSettings;
    return {
        field("memory", &S::memory_bytes, Size{0, kTiB}),
        field("memory_object_max", &S::memory_object_bytes, Size{0, 64 * kMiB}),
        field("files", &S::files, Count{1, 1'000'000}),
        field("absent", &S::absent, Count{1, 100'000'000}),
        field("digests", &S::digests, Count{1, 100'000'000}),
        field("freshness", &S::freshness, Duration{100ms, 1h}),
    };
}

Fields<EdgeSettings> edge_fields() {
    using S = EdgeSettings;
    return {
        field("trusted_ranges", &S::trusted_ranges, TrustedRanges{}),
        field("client_address_header", &S::client_address_header, Text{wrong_in_header_name}),
        field("hosts", &S::hosts, TextList{wrong_in_host_pattern, 0}),
        field("secret_header", &S::secret_header, Text{wrong_in_secret_header}),
        field("secret", &S::secret, SecretSource{}),
        field("secret_previous", &S::secret_previous, SecretSource{}),
        field("only_trusted_peers", &S::only_trusted_peers, Flag{}),
        field("client_ca_files", &S::client_ca_files, TextList{wrong_in_file, 0}),
        field("client_pins", &S::client_pins, TextList{wrong_in_pin, 0}),
        field("client_ca_except", &S::client_ca_except, ListenList{.min_items = 0}),
        field("lock", &S::lock, Choice{{"enforce", "log", "off"}}),
        field("refusal", &S::refusal, Choice{{"forbid", "close"}}),
        field("cache_tags", &S::cache_tags, TextList{wrong_in_cache_tag, 0}),
        field("cache_tag_prefix", &S::cache_tag_prefix, Text{wrong_in_cache_tag_prefix}),
    };
}

Fields<HotlinkSettings> hotlink_fields() {
    using S = HotlinkSettings;
    return {
        field("allowed_hosts", &S::allowed_hosts, TextList{wrong_in_host_pattern, 0}),
        field("prefixes", &S::prefixes, TextList{wrong_in_key_prefix, 0}),
        field("allow_empty", &S::allow_empty, Flag{}),
        field("exceptions", &S::exceptions, TextList{wrong_in_host_pattern, 0}),
    };
}

Fields<RateLimitRule> rate_limit_fields() {
    using S = RateLimitRule;
    return {
        field("prefix", &S::prefix, Text{wrong_in_key_prefix}),
        required("requests = 600", field("requests", &S::requests, Count{1, 1'000'000})),
        field("per", &S::per, Duration{1s, 24h}),
        field("burst", &S::burst, Count{0, 1'000'000}),
    };
}

Fields<AccessLogSettings> access_log_fields() {
    using S = AccessLogSettings;
    return {
        field("path", &S::path, Text{wrong_in_log_path}),
        field("format", &S::format, Choice{{"json", "combined"}}),
        field("buffer", &S::buffer_bytes, Size{16 * kKiB, kGiB}),
        field("flush_interval", &S::flush_interval, Duration{10ms, 60s}),
    };
}

Fields<CacheControlRule> cache_control_fields() {
    using S = CacheControlRule;
    return {
        field("prefix", &S::prefix, Text{wrong_in_key_prefix}),
        field("status", &S::status, TextList{wrong_in_status, 0}),
        field("content_type", &S::content_type, Text{wrong_in_content_type}),
        field("uuid_named", &S::uuid_named, Flag{}),
        required("cache_control = \"public, max-age=300\"",
                 field("cache_control", &S::cache_control, Text{wrong_in_cache_control})),
        field("cdn_cache_control", &S::cdn_cache_control, Text{wrong_in_cdn_cache_control}),
        field("cloudflare_cdn_cache_control", &S::cloudflare_cdn_cache_control,
              Text{wrong_in_cdn_cache_control}),
    };
}

Fields<CatalogSettings> catalog_fields() {
    using S = CatalogSettings;
    return {
        field("url", &S::url, Text{wrong_in_catalog_url}),
        field("secrets_key_file", &S::secrets_key_file, Text{wrong_in_base_path}),
    };
}

Fields<ShelfSettings> shelf_fields() {
    using S = ShelfSettings;
    return {
        field("path", &S::path, Text{wrong_in_base_path}),
        field("size", &S::size_bytes, Size{kMiB, kMostPoolBytes}),
        field("slice", &S::slice_bytes, Size{64 * kKiB, 64 * kMiB}),
        field("min_free", &S::min_free_bytes, Size{0, kTiB}),
    };
}

Fields<OriginSettings> origin_fields() {
    using S = OriginSettings;
    // The edge gives up after 100 s without a byte (contracts: cloudflare.md 1.4).
    constexpr auto kMostWait = 85s;
    return {
        field("connect_timeout", &S::connect_timeout, Duration{100ms, 60s}),
        field("first_byte_timeout", &S::first_byte_timeout, Duration{100ms, kMostWait}),
        field("stall_timeout", &S::stall_timeout, Duration{100ms, kMostWait}),
        field("tries", &S::tries, Count{1, 20}),
        field("connections", &S::connections, Count{1, 10'000}),
        field("buffer", &S::buffer_bytes, Size{64 * kKiB, 64 * kMiB}),
        field("loop_id", &S::loop_id, Text{wrong_in_token}),
    };
}

Fields<VariantSettings> variant_fields() {
    using S = VariantSettings;
    return {
        field("source", &S::source_bytes, Size{kKiB, 2 * kGiB}),
        field("pixels", &S::pixels, Count{1, kMostPixels}),
        field("frames", &S::frames, Count{1, 100'000}),
        field("animation_pixels", &S::animation_pixels, Count{1, kMostPixels}),
        field("result", &S::result_bytes, Size{kKiB, kGiB}),
        field("progressive_jpeg", &S::progressive_jpeg, Flag{}),
        field("avif_above", &S::avif_above, Count{0, kMostSide}),
        field("on_demand", &S::on_demand, Flag{}),
        field("cheap_workers", &S::cheap_workers, Count{1, 256}),
        field("cheap_queue", &S::cheap_queue, Count{1, 100'000}),
        field("dear_workers", &S::dear_workers, Count{1, 256}),
        field("dear_queue", &S::dear_queue, Count{1, 100'000}),
        field("wait_timeout", &S::wait_timeout, Duration{100ms, 85s}),
        field("first_hit_wait", &S::first_hit_wait, Duration{0ms, 85s}),
        field("stand_in_lifetime", &S::stand_in_lifetime, Duration{1s, 1h}),
        field("fetches", &S::fetches, Count{1, 1000}),
        field("job_timeout", &S::job_timeout, Duration{100ms, 1h}),
        field("cheap_job_timeout", &S::cheap_job_timeout, Duration{100ms, 1h}),
        field("worker_memory", &S::worker_memory_bytes, Size{64 * kMiB, 64 * kGiB}),
        field("worker_growth", &S::worker_growth_bytes, Size{kMiB, 64 * kGiB}),
        field("worker_jobs", &S::worker_jobs, Count{1, 1'000'000}),
        field("worker_nice", &S::worker_nice, Count{0, 19}),
        field("failed_for", &S::failed_for, Duration{1s, 30 * 24h}),
        field("signing_keys", &S::signing_keys, SecretList{}),
        field("signing_salts", &S::signing_salts, SecretList{}),
        field("signature_bytes", &S::signature_bytes, Count{8, 32}),
    };
}

Fields<VariantProfile> profile_fields() {
    using S = VariantProfile;
    return {
        required("name = \"small\"", field("name", &S::name, Text{wrong_in_profile_name})),
        field("width", &S::width, Count{0, kMostSide}),
        field("height", &S::height, Count{0, kMostSide}),
        field("fit", &S::fit, Choice{{"inside", "cover", "exact"}}),
        field("gravity", &S::gravity,
              Choice{{"centre", "north", "east", "south", "west", "entropy", "attention"}}),
        field("formats", &S::formats, TextList{wrong_in_variant_format, 1}),
        field("at_upload", &S::at_upload, TextList{wrong_in_variant_format, 0}),
        field("not_of", &S::not_of, TextList{wrong_in_original_format, 0}),
        field("stand_in", &S::stand_in, Flag{}),
        field("together", &S::together, Flag{}),
        field("webp_quality", &S::webp_quality, Count{1, 100}),
        field("webp_effort", &S::webp_effort, Count{0, 6}),
        field("avif_quality", &S::avif_quality, Count{1, 100}),
        field("avif_effort", &S::avif_effort, Count{0, 9}),
        field("jpeg_quality", &S::jpeg_quality, Count{1, 100}),
        field("png_compression", &S::png_compression, Count{0, 9}),
        field("jxl_quality", &S::jxl_quality, Count{1, 100}),
        field("jxl_effort", &S::jxl_effort, Count{3, 9}),
        field("background", &S::background, Text{wrong_in_colour}),
        field("sharpen", &S::sharpen, Count{0, 100}),
    };
}

Fields<PoolSettings> pool_fields() {
    using S = PoolSettings;
    return {
        required("name = \"hot\"", field("name", &S::name, Text{wrong_in_pool_name})),
        field("storage_type", &S::storage_type, Choice{{"local", "nfs", "s3"}}),
        field("storage_tier", &S::storage_tier, Choice{{"hot", "warm", "cold", "archive"}}),
        field("base_path", &S::base_path, Text{wrong_in_base_path}),
        field("marker", &S::marker, Text{wrong_in_marker}),
        field("max_size", &S::max_size_bytes, Size{0, kMostPoolBytes}),
        field("priority", &S::priority, Count{0, 1'000'000}),
        field("is_active", &S::is_active, Flag{}),
        field("is_default", &S::is_default, Flag{}),
        field("is_backup_target", &S::is_backup_target, Flag{}),
        field("mirror", &S::mirror, Text{wrong_in_mirror}),
        field("public_base_url", &S::public_base_url, Text{wrong_in_base_url}),
        field("upload_api_url", &S::upload_api_url, Text{wrong_in_url}),
        field("visibility", &S::visibility, Choice{{"public", "private"}}),
        field("strip_metadata", &S::strip_metadata, Flag{}),
        field("node_id", &S::node_id, Text{wrong_in_line}),
        field("description", &S::description, Text{wrong_in_line}),
        field("access_key_id", &S::access_key_id, SecretSource{.may_be_literal = true}),
        field("secret_access_key", &S::secret_access_key, SecretSource{}),
        field("region", &S::region, Text{wrong_in_region}),
        field("bucket", &S::bucket, Text{wrong_in_bucket}),
        field("endpoint_url", &S::endpoint_url, Text{wrong_in_base_url}),
        field("download_url", &S::download_url, Text{wrong_in_base_url}),
        field("download_authorization", &S::download_authorization, Flag{}),
        field("download_authorization_lifetime", &S::download_authorization_lifetime,
              Duration{20s, 168h}),
        field("native_url", &S::native_url, Text{wrong_in_base_url}),
        field("path_prefix", &S::path_prefix, Text{wrong_in_path_prefix}),
        field("addressing", &S::addressing, Choice{{"path", "virtual_host"}}),
        field("serve", &S::serve, Choice{{"proxy", "redirect"}}),
        field("origin", &S::origin, Choice{{"s3", "friendly"}}),
        field("daily_class_a_calls", &S::daily_class_a_calls, Count{0, kMostCalls}),
        field("daily_class_b_calls", &S::daily_class_b_calls, Count{0, kMostCalls}),
        field("daily_class_c_calls", &S::daily_class_c_calls, Count{0, kMostCalls}),
        field("daily_egress", &S::daily_egress_bytes, Size{0, kMostPoolBytes}),
        field("budget_warning_percent", &S::budget_warning_percent, Count{1, 100}),
        field("jobs", &S::jobs, Count{1, 256}),
        field("job_bandwidth", &S::job_bandwidth_bytes, Size{0, kTiB}),
        field("job_requests", &S::job_requests, Count{0, 100'000}),
        field("debug_disk_delay", &S::debug_disk_delay, Duration{0s, 60s}),
    };
}

Fields<UploadSettings> upload_fields() {
    using S = UploadSettings;
    return {
        field("token_secret", &S::token_secret, SecretSource{}),
        field("token_secret_previous", &S::token_secret_previous, SecretSource{}),
        field("replicate_secret", &S::replicate_secret, SecretSource{}),
        field("replicate_checksum", &S::replicate_checksum, Flag{}),
        field("max_size", &S::max_size_bytes, Size{kKiB, kTiB}),
        field("max_side", &S::max_side, Count{1, 1'000'000}),
        field("session_lifetime", &S::session_lifetime, Duration{1s, 24h}),
        field("resumable_lifetime", &S::resumable_lifetime, Duration{1min, 720h}),
        field("parallel", &S::parallel, Count{1, 10'000}),
        field("parallel_tokenless", &S::parallel_tokenless, Count{0, 10'000}),
        field("tokenless_per_address", &S::tokenless_per_address, Count{0, 10'000}),
        field("sessions_per_owner", &S::sessions_per_owner, Count{0, 1'000'000}),
        field("resumable_per_owner", &S::resumable_per_owner, Count{0, 1'000'000}),
        field("rate_per_key", &S::rate_per_key, Count{0, 1'000'000}),
        field("rate_per_address", &S::rate_per_address, Count{0, 1'000'000}),
        field("fallback", &S::fallback, Flag{}),
        field("spool_path", &S::spool_path, Text{wrong_in_base_path}),
        field("spool_size", &S::spool_size_bytes, Size{kMiB, kMostPoolBytes}),
        field("spool_min_free", &S::spool_min_free_bytes, Size{0, kMostPoolBytes}),
        field("public_base_url", &S::public_base_url, Text{wrong_in_base_url}),
        field("view_url", &S::view_url, Text{wrong_in_view_url}),
        field("allowed_origins", &S::allowed_origins, TextList{wrong_in_origin, 0}),
    };
}

Fields<TieringSettings> tiering_fields() {
    using S = TieringSettings;
    constexpr std::int64_t kMostDays = 3650;
    return {
        field("enabled", &S::enabled, Flag{}),
        field("hot_keep_days_after_upload", &S::hot_keep_days_after_upload, Count{0, kMostDays}),
        field("demote_if_no_views_days", &S::demote_if_no_views_days, Count{1, kMostDays}),
        field("min_dwell_days_per_tier", &S::min_dwell_days_per_tier, Count{0, kMostDays}),
        field("hot_watermark_high", &S::hot_watermark_high, Count{1, 100}),
        field("hot_watermark_low", &S::hot_watermark_low, Count{0, 99}),
        field("warm_keep_days", &S::warm_keep_days, Count{0, kMostDays}),
        field("warm_no_views_days", &S::warm_no_views_days, Count{1, kMostDays}),
        field("warm_watermark_high", &S::warm_watermark_high, Count{1, 100}),
        field("warm_watermark_low", &S::warm_watermark_low, Count{0, 99}),
        field("max_candidates_per_sweep", &S::max_candidates_per_sweep, Count{1, 100'000}),
        field("max_bytes_per_sweep", &S::sweep_bytes, Size{0, kMostPoolBytes}),
        field("sweep_interval", &S::sweep_interval, Duration{1s, 24h}),
        field("window", &S::window, Text{wrong_in_day_window}),
        field("cohort_percent", &S::cohort_percent, Count{0, 100}),
        field("cohort_file", &S::cohort_file, Text{wrong_in_base_path}),
        field("promote_hits", &S::promote_hits, Count{0, 1'000'000'000}),
        field("promote_window", &S::promote_window, Duration{1min, 365 * 24h}),
        field("max_error_percent", &S::max_error_percent, Count{0, 100}),
        field("views_flush", &S::views_flush, Duration{0s, 1h}),
    };
}

Fields<PrivateSettings> private_fields() {
    using S = PrivateSettings;
    return {
        field("prefixes", &S::prefixes, TextList{wrong_in_key_prefix, 0}),
        field("signing_key", &S::signing_key, SecretSource{}),
        field("signing_key_previous", &S::signing_key_previous, SecretSource{}),
        field("ttl", &S::ttl, Duration{1min, 7 * 24h}),
        field("quantum", &S::quantum, Duration{0s, 84h}),
        field("edge_checks", &S::edge_checks, Flag{}),
    };
}

Fields<PurgeSettings> purge_fields() {
    using S = PurgeSettings;
    return {
        field("zone_id", &S::zone_id, Text{wrong_in_zone_id}),
        field("api_token", &S::api_token, SecretSource{}),
        field("api_url", &S::api_url, Text{wrong_in_base_url}),
        field("by", &S::by, Choice{{"auto", "urls", "tags", "both"}}),
        field("hosts", &S::hosts, TextList{wrong_in_base_url, 0}),
        field("origins", &S::origins, TextList{wrong_in_origin, 0}),
        field("urls_per_call", &S::urls_per_call, Count{1, 500}),
        field("calls_per_minute", &S::calls_per_minute, Count{1, 60'000}),
        field("tags_per_call", &S::tags_per_call, Count{1, 100}),
        field("tag_calls_per_minute", &S::tag_calls_per_minute, Count{1, 60'000}),
        field("timeout", &S::timeout, Duration{1s, 60s}),
        field("verify", &S::verify, Flag{}),
        field("verify_url", &S::verify_url, Text{wrong_in_base_url}),
    };
}

std::vector<SectionSchema> make_schema() {
    using S = Settings;
    return {
        section("server", &S::server, server_fields()),
        section("admin", &S::admin,
                {field("listen", &AdminSettings::listen, ListenList{.min_items = 0}),
                 field("token", &AdminSettings::token, SecretSource{}),
                 field("request_body", &AdminSettings::request_body_bytes, Size{kKiB, 16 * kMiB})}),
        section("limits", &S::limits, limit_fields()),
        section("timeouts", &S::timeouts, timeout_fields()),
        section("workers", &S::workers, worker_fields()),
        section("cache", &S::cache, cache_fields()),
        section("types", &S::types,
                {field("allowed", &TypeSettings::allowed, TextList{wrong_in_media_range, 1})}),
        section("edge", &S::edge, edge_fields()),
        section("hotlink", &S::hotlink, hotlink_fields()),
        section("rate_limits", &S::rate_limits,
                {field("table", &RateLimitSettings::table, Count{1000, 100'000'000})}),
        section("tls", &S::tls,
                {field("listen", &TlsSettings::listen, ListenList{.min_items = 0}),
                 field("min_version", &TlsSettings::min_version, Choice{{"1.2", "1.3"}}),
                 field("http2", &TlsSettings::http2, Flag{}),
                 field("ticket_rotation", &TlsSettings::ticket_rotation, Duration{1min, 7 * 24h})}),
        section("access_log", &S::access_log, access_log_fields()),
        section("log", &S::log,
                {field("level", &LogSettings::level, Choice{{"debug", "info", "warn", "error"}})}),
        section("catalog", &S::catalog, catalog_fields()),
        section("shelf", &S::shelf, shelf_fields()),
        section("jobs", &S::jobs,
                {field("threads", &JobSettings::threads, Count{0, 256}),
                 field("keep", &JobSettings::keep, Duration{1h, 3650 * 24h})}),
        section("move", &S::move, {field("grace", &MoveSettings::grace, Duration{0s, 30 * 24h})}),
        section("delete", &S::deletion,
                {field("backups", &DeleteSettings::backups, Flag{}),
                 field("remember", &DeleteSettings::remember, Duration{1min, 3650 * 24h})}),
        section("purge", &S::purge, purge_fields()),
        section("backup", &S::backup,
                {field("delay", &BackupSettings::delay, Duration{0s, 30 * 24h}),
                 field("interval", &BackupSettings::interval, Duration{1s, 30 * 24h})}),
        section("upload", &S::upload, upload_fields()),
        section("tiering", &S::tiering, tiering_fields()),
        section("reconcile", &S::reconcile,
                {field("grace", &ReconcileSettings::grace, Duration{0s, 30 * 24h}),
                 field("max_change_percent", &ReconcileSettings::max_change_percent, Count{0, 100}),
                 field("quarantine_prefix", &ReconcileSettings::quarantine_prefix,
                       Text{wrong_in_quarantine_prefix})}),
        section("origin", &S::origin, origin_fields()),
        section("variants", &S::variants, variant_fields()),
        section("private", &S::private_images, private_fields()),
        repeated_section(
            "certificate", &S::certificates,
            {required("\"/etc/tidepool/chain.pem\"",
                      field("chain_file", &CertificateSettings::chain_file, Text{wrong_in_file})),
             required("\"/etc/tidepool/key.pem\"",
                      field("key_file", &CertificateSettings::key_file, Text{wrong_in_file}))}),
        repeated_section("rate_limit", &S::rate_limit, rate_limit_fields()),
        repeated_section("profile", &S::profiles, profile_fields()),
        repeated_section("cache_control", &S::cache_control, cache_control_fields()),
        repeated_section("pool", &S::pools, pool_fields()),
    };
}

}  // namespace

void read_pool(const Node& table, PoolSettings& into, ProblemList& problems) {
    static const std::vector<Field> fields = list_of(pool_fields());
    read_fields(table, fields, &into, problems);
}

const std::vector<SectionSchema>& settings_schema() {
    static const std::vector<SectionSchema> schema = make_schema();
    return schema;
}

}  // namespace tidepool::conf
