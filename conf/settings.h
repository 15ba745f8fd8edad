// Every setting of tidepool, once, with its built-in default. conf/tidepool.toml documents the same
// settings for the operator; a test proves that the file and these defaults agree. Reading and
// checking is in settings_reader.
#pragma once

#include "conf/cidr.h"
#include "conf/listen_address.h"
#include "conf/secret.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace tidepool::conf {

using Milliseconds = std::chrono::milliseconds;

// [server]
struct ServerSettings {
    std::vector<ListenAddress> listen{{ListenAddress::Family::inet4, "0.0.0.0", 8080}};
    unsigned threads = 0;         // event loops; 0 = one per usable core. 0..256
    unsigned socket_mode = 0660;  // permissions of unix sockets, octal text "0660"
    unsigned backlog = 4096;      // connections the kernel queues per socket. 1..65535
    bool defer_accept = true;     // TCP: connections are taken once they have sent something, or
                                  // after a second
    bool io_uring = true;         // one system call hands over the socket calls of many connections
    bool realtime = true;         // loops go first, as long as that takes little
    std::string url_prefix =
        "/uploads/";  // the URL path under which images are served; starts and ends with "/"
    Milliseconds drain_timeout{30'000};  // on SIGTERM: longest time for what runs. 0..10min
    Milliseconds drain_idle{
        2'000};  // on SIGTERM: how long an idle connection may still bring a request
    bool operator==(const ServerSettings&) const = default;
};

// [admin]
struct AdminSettings {
    std::vector<ListenAddress> listen{
        {ListenAddress::Family::inet4, "127.0.0.1", 9090}};  // [] = no admin listener
    Secret token;  // of /api/admin/v1, "env:NAME" or "file:/PATH"; none = that API is closed
    std::uint64_t request_body_bytes = 64ULL * 1024;  // "request_body"; else 413. 1KiB..16MiB
    bool operator==(const AdminSettings&) const = default;
};

// [limits]
struct LimitSettings {
    std::uint64_t request_line_bytes = 16ULL * 1024;  // "request_line"; else 414. 256B..64KiB
    std::uint64_t header_bytes = 128ULL * 1024;  // "headers": the whole head; else 431. 1KiB..1MiB
    unsigned header_fields = 200;                // else 431. 8..10000
    std::uint64_t discard_body_bytes =
        64ULL * 1024;      // "discard_body": a refused body up to this is read and dropped to
                           // keep the connection; a longer one closes it. 0..16MiB
    unsigned ranges = 64;  // ranges a request may ask for; more are answered whole. 1..300
    unsigned connections = 20'000;  // in all, the last quarter trusted; else 503. 1..1000000
    unsigned connections_per_peer =
        256;  // of one untrusted address (IPv6: /64); else 429. 1..1000000
    unsigned connections_per_edge_peer = 4096;  // of one trusted address; else 429. 1..1000000
    unsigned http2_streams = 128;   // requests at a time of one HTTP/2 connection. 1..1000
    unsigned http2_answers = 4096;  // of all, that hold a file or memory until their bodies have
                                    // left, beyond one each; else 503. 1..1000000
    bool operator==(const LimitSettings&) const = default;
};

// [timeouts]
struct TimeoutSettings {
    Milliseconds header{
        10'000};  // from a request's first byte to the end of its head; else 408. 100ms..5min
    Milliseconds idle{15'000};  // keep-alive without a request, untrusted peers. 100ms..1h
    Milliseconds idle_edge{
        930'000};  // the same for trusted peers: above the edge's own 900 s. 100ms..1h
    std::uint64_t min_send_rate =
        1024;  // bytes/s, as a size; a slower reader is cut off; 0 = off. 0..1GiB
    Milliseconds send_window{30'000};  // over which min_send_rate is judged. 1s..10min
    std::uint64_t min_receive_rate =
        1024;  // bytes/s of an upload, as a size; a slower one is 408; 0 = off. 0..1GiB
    Milliseconds receive_window{30'000};  // over which min_receive_rate is judged. 1s..10min
    Milliseconds linger{
        2'000};  // after the last answer: time for the peer to take it and close. 0..60s
    bool operator==(const TimeoutSettings&) const = default;
};

// [workers]: threads for blocking disk calls, per pool, so that a dying disk holds up only itself.
struct WorkerSettings {
    unsigned threads_per_pool = 4;  // 1..256
    unsigned queue = 1024;          // waiting calls per pool; a full queue answers 503. 1..1000000
    Milliseconds wait_timeout{20'000};  // of a request for a disk; then it is 503. 1s..10min
    bool operator==(const WorkerSettings&) const = default;
};

// [cache]: what is known and held of the files.
struct CacheSettings {
    std::uint64_t memory_bytes =
        256ULL * 1024 * 1024;  // "memory": bodies of small hot files. 0..1TiB
    std::uint64_t memory_object_bytes = 64ULL * 1024;  // "memory_object_max". 0..64MiB
    unsigned files = 8192;                             // open descriptors kept. 1..1000000
    unsigned absent = 50'000;                          // names known to be absent. 1..100000000
    unsigned digests = 200'000;     // contents whose SHA-256 is remembered. 1..100000000
    Milliseconds freshness{2'000};  // a change by another program is seen within this. 100ms..1h
    bool operator==(const CacheSettings&) const = default;
};

// [[cache_control]]: the first rule that matches an answer decides its lifetime headers.
struct CacheControlRule {
    std::string prefix;               // of the key, "" = any
    std::vector<std::string> status;  // "200", "4xx", ... ; [] = any. 206 and 304 follow 200.
    std::string content_type;         // "image/jpeg", "image/*", "" = any
    bool uuid_named = false;          // true = only keys whose file name starts with a UUID
    std::string cache_control;        // Cache-Control
    std::string cdn_cache_control;    // CDN-Cache-Control, "" = not sent
    std::string cloudflare_cdn_cache_control;  // Cloudflare-CDN-Cache-Control, "" = not sent
    bool operator==(const CacheControlRule&) const = default;
};

// The rules that hold where the file has none. They are kept behind those of the file, so that
// every answer has one.
std::vector<CacheControlRule> default_cache_control();

// Search engines, translators, web caches, mail and previews of links.
std::vector<std::string> default_hotlink_exceptions();

// [types]
struct TypeSettings {
    // What may be served, judged by the bytes; "image/*" and "*" are understood. Anything else is
    // 404.
    std::vector<std::string> allowed{"image/jpeg", "image/png",    "image/gif",    "image/webp",
                                     "image/avif", "image/bmp",    "image/jxl",    "image/heic",
                                     "image/tiff", "image/x-icon", "image/svg+xml"};
    bool operator==(const TypeSettings&) const = default;
};

// [edge]
struct EdgeSettings {
    // "cloudflare" (the shipped list), or a list of CIDR ranges, or "file:PATH" with one range per
    // line. Headers about the client are believed only from these peers.
    std::vector<Cidr> trusted_ranges = cloudflare_ranges();
    std::string client_address_header = "CF-Connecting-IP";

    // The origin lock: what a request must show to come in on the public listener, see
    // proxy/serve/origin_lock.h.
    enum class Lock : std::uint8_t { enforce, log, off };
    enum class Refusal : std::uint8_t { forbid, close };
    std::vector<std::string> hosts;   // "images.example" or "*.example"; [] = all
    std::string secret_header;        // which holds the secret; "" = there is none
    Secret secret;                    // "env:NAME" or "file:/PATH"
    Secret secret_previous;           // is still accepted
    bool only_trusted_peers = false;  // of trusted_ranges, and unix sockets
    // PEM; who connects over TLS shows a certificate that one of these issued, or is one of these.
    // [] = nobody is asked for one
    std::vector<std::string> client_ca_files;
    // SHA-256 of the public keys (SubjectPublicKeyInfo) that such a certificate may have, as hex;
    // [] = any
    std::vector<std::string> client_pins;
    // Those of server.listen and tls.listen where no certificate is wanted
    std::vector<ListenAddress> client_ca_except;
    Lock lock = Lock::enforce;
    Refusal refusal = Refusal::forbid;
    // Which tags answers have, by which the edge can be told to forget them: "image", "pool",
    // "day"; see proxy/serve/cache_tags.h. [] = none
    std::vector<std::string> cache_tags{"image"};
    std::string cache_tag_prefix;  // of all tags, for a zone that others use as well
    // False: there is nothing to lock.
    bool has_checks() const {
        return only_trusted_peers || !hosts.empty() || !secret_header.empty() ||
               !client_ca_files.empty();
    }
    bool operator==(const EdgeSettings&) const = default;
};

// [hotlink]: on whose pages images may be shown, as the Referer tells.
struct HotlinkSettings {
    std::vector<std::string> allowed_hosts;  // "example.com" or "*.example.com"; [] = off
    std::vector<std::string> prefixes;       // of keys that it holds for; [] = all
    bool allow_empty = true;                 // no Referer, or one that names no host, is let in
    // Hosts whose pages show everybody's images; see the manual.
    std::vector<std::string> exceptions = default_hotlink_exceptions();
    bool operator==(const HotlinkSettings&) const = default;
};

// [rate_limits]
struct RateLimitSettings {
    unsigned table = 100'000;  // clients remembered, of all rules; 16 bytes each. 1000..100000000
    bool operator==(const RateLimitSettings&) const = default;
};

// [[rate_limit]]: of one client (IPv6: a /64); the longest prefix that matches decides.
struct RateLimitRule {
    std::string prefix;        // of the key; "" = any. Unique
    unsigned requests = 0;     // 1..1000000
    Milliseconds per{60'000};  // 1s..1d
    unsigned burst = 0;        // at once; 0 = as many as requests. 0..1000000
    bool operator==(const RateLimitRule&) const = default;
};

// [tls]
struct TlsSettings {
    enum class Version : std::uint8_t { tls1_2, tls1_3 };
    std::vector<ListenAddress> listen;  // as server.listen; [] = none, else there are certificates
    Version min_version = Version::tls1_2;
    bool http2 = true;  // is spoken with who offers it
    // How long a key seals the session tickets that are given out. 1min..7d
    std::chrono::milliseconds ticket_rotation = std::chrono::hours(12);
    bool operator==(const TlsSettings&) const = default;
};

// [[certificate]]: for the names that stand in it; the first one is also for all other names.
struct CertificateSettings {
    std::string chain_file;  // PEM: the certificate, then those between it and its root
    std::string key_file;    // PEM, not encrypted
    bool operator==(const CertificateSettings&) const = default;
};

// [access_log]
struct AccessLogSettings {
    enum class Format : std::uint8_t { json, combined };
    std::string path;  // "" = off, "-" = standard output
    Format format = Format::json;
    std::uint64_t buffer_bytes = 1024ULL * 1024;  // "buffer": per loop; lines that find it full are
                                                  // dropped and counted. 16KiB..1GiB
    Milliseconds flush_interval{500};             // 10ms..60s
    bool operator==(const AccessLogSettings&) const = default;
};

// [log]: what the server says about itself, on standard error.
struct LogSettings {
    enum class Level : std::uint8_t { debug, info, warn, error };
    Level level = Level::info;
    bool operator==(const LogSettings&) const = default;
};

// [catalog]: which object is in which pool.
struct CatalogSettings {
    // "sqlite:/PATH", or "" = none: then only local pools can be served.
    std::string url = "sqlite:/var/lib/tidepool/catalog.db";
    // A file of 32 bytes that encrypt the secrets of pools made at run time; "" = such pools cannot
    // have any.
    std::string secrets_key_file;
    bool operator==(const CatalogSettings&) const = default;
};

// [shelf]: the local disk cache of objects fetched from an origin.
struct ShelfSettings {
    std::string path = "/var/cache/tidepool";               // "" = none
    std::uint64_t size_bytes = 50ULL * 1024 * 1024 * 1024;  // "size". 1MiB..1PiB
    std::uint64_t slice_bytes = 1024ULL * 1024;             // "slice". 64KiB..64MiB
    std::uint64_t min_free_bytes = 1024ULL * 1024 * 1024;   // "min_free". 0..1TiB
    bool operator==(const ShelfSettings&) const = default;
};

// [jobs]: background work, durable in the catalog: moves, deletions and the like.
struct JobSettings {
    unsigned threads = 4;              // jobs at a time; 0 = this process does none. 0..256
    Milliseconds keep{2'592'000'000};  // how long those that ended stay listed. 1h..10y
    bool operator==(const JobSettings&) const = default;
};

// [move]
struct MoveSettings {
    // How long copies that an image left behind are kept, for who is still reading them. 0..30d
    Milliseconds grace{600'000};
    bool operator==(const MoveSettings&) const = default;
};

// [delete]
struct DeleteSettings {
    bool backups = true;                   // the copies in backup pools, too
    Milliseconds remember{7'776'000'000};  // 410 for so long; then 404. 1m..3650d
    bool operator==(const DeleteSettings&) const = default;
};

// [purge]: what visitors must not see any more is taken out of the edge, too (contracts:
// cloudflare.md 4).
struct PurgeSettings {
    // automatic: both where edge.cache_tags has the image's tag, else urls.
    enum class By : std::uint8_t { automatic, urls, tags, both };
    std::string zone_id;  // 32 hex digits; "" = nothing is purged, and nothing queued
    Secret api_token;     // "env:NAME" or "file:/PATH"; it may purge this zone
    std::string api_url = "https://api.cloudflare.com/client/v4";
    By by = By::automatic;              // how an image is named to the edge
    std::vector<std::string> hosts;     // "https://images.example": what visitors use, beside the
                                        // names of edge.hosts, the pools' public_base_url and the
                                        // site's
    std::vector<std::string> origins;   // of pages that load images crossorigin: the edge keeps an
                                        // entry of each URL for each of them
    unsigned urls_per_call = 30;        // 1..500
    unsigned calls_per_minute = 300;    // that name URLs. 1..60000
    unsigned tags_per_call = 30;        // 1..100; the same for prefixes
    unsigned tag_calls_per_minute = 5;  // that name tags, prefixes or everything. 1..60000
    Milliseconds timeout{10'000};       // of a call, and of a question to the edge. 1s..60s
    bool verify = true;                 // the edge is asked whether it has really forgotten
    std::string verify_url;  // where it is asked, with the Host of each URL; "" = at the URL
    bool operator==(const PurgeSettings&) const = default;
};

// [backup]: copies of originals in the pools with is_backup_target.
struct BackupSettings {
    Milliseconds delay{300'000};       // not before an original is so old. 0..30d
    Milliseconds interval{3'600'000};  // how often originals without a copy are looked for. 1s..30d
    bool operator==(const BackupSettings&) const = default;
};

// [upload]: what clients may store, and how (contracts: pixelfox.md, Upload API).
struct UploadSettings {
    Secret token_secret;              // signs the tokens of sessions; none = there are no sessions
    Secret token_secret_previous;     // its tokens are still accepted
    Secret replicate_secret;          // of /api/internal/replicate; none = that is closed
    bool replicate_checksum = false;  // what is replicated must say its SHA-256
    std::uint64_t max_size_bytes = 100ULL * 1024 * 1024;  // "max_size"; else 413. 1KiB..1TiB
    unsigned max_side = 65'535;                   // of an image, in pixels; else 415. 1..1000000
    Milliseconds session_lifetime{1'800'000};     // of a session's token. 1s..24h
    Milliseconds resumable_lifetime{86'400'000};  // of an upload by tus. 1m..30d
    unsigned parallel = 64;                       // uploads at a time; more are 503. 1..10000
    // Of these, whose token stands in the form behind the file: nobody knows yet who sends it.
    unsigned parallel_tokenless = 8;     // 0..10000; 0 = they are 401
    unsigned tokenless_per_address = 2;  // of these, of one client; 0..10000; 0 = all
    unsigned sessions_per_owner = 1000;  // open at a time; more are 429; 0 = no limit. 0..1000000
    unsigned resumable_per_owner = 100;  // the same of uploads by tus
    unsigned rate_per_key = 0;           // sessions and uploads a minute; 0 = no limit. 0..1000000
    unsigned rate_per_address = 0;       // the same of one client address
    bool fallback = true;                // cold pools take uploads when no hot or warm one has room
    std::string spool_path = "/var/lib/tidepool/spool";  // where uploads to buckets are held
    // What uploads that run, or come in pieces, may take there; more are 503. At least max_size.
    // 1MiB..1PiB
    std::uint64_t spool_size_bytes = 20ULL * 1024 * 1024 * 1024;  // "spool_size"
    // Of its disk, below which none is taken. 0..1PiB
    std::uint64_t spool_min_free_bytes = 1024ULL * 1024 * 1024;  // "spool_min_free"
    std::string public_base_url;  // "https://images.example" of the site; "" = URLs are paths
    std::string view_url;         // of an image's page, with "{uuid}"; "" = there is none
    std::vector<std::string> allowed_origins;  // of browsers that may call; "*" = all
    bool operator==(const UploadSettings&) const = default;
};

// [tiering]: which images a sweep moves to another tier, and when. Percentages of watermarks are of
// a pool's max_size; a pool without one has none.
struct TieringSettings {
    bool enabled = false;  // sweeps are made; false = only `tidepool tier run` makes one
    // An image leaves a hot pool when it was uploaded before this and not viewed since that.
    unsigned hot_keep_days_after_upload = 30;  // 0..3650
    unsigned demote_if_no_views_days = 14;     // 1..3650
    // No image moves again sooner, up or down. 0..3650
    unsigned min_dwell_days_per_tier = 7;
    unsigned hot_watermark_high = 85;  // above it the coldest go, idle or not. 1..100
    unsigned hot_watermark_low = 70;   // until it would be reached. 0..99
    unsigned warm_keep_days = 90;      // the same for warm pools. 0..3650
    unsigned warm_no_views_days = 60;  // 1..3650
    unsigned warm_watermark_high = 85;
    unsigned warm_watermark_low = 70;
    unsigned max_candidates_per_sweep = 200;  // less what is open of earlier ones. 1..100000
    std::uint64_t sweep_bytes = 0;            // "max_bytes_per_sweep"; 0 = no limit. 0..1PiB
    Milliseconds sweep_interval{900'000};     // 1s..1d
    std::string window;                       // of the day, UTC: "22:00-06:00"; "" = always
    unsigned cohort_percent = 100;            // of all images, the same ones each time. 0..100
    std::string cohort_file;    // only the images of this list, one UUID a line; "" = none
    unsigned promote_hits = 0;  // a cold image with so many recent views comes back; 0 = none
    Milliseconds promote_window{86'400'000};  // after it a view counts half. 1m..365d
    unsigned max_error_percent = 20;          // of recent moves; then sweeps stop. 0..100
    Milliseconds views_flush{10'000};  // how often views are written down; 0 = not counted. 0..1h
    bool operator==(const TieringSettings&) const = default;
};

// [reconcile]: comparing the catalog with what the pools hold.
struct ReconcileSettings {
    // Objects younger than this are left alone. Longer spares what is still being written; what
    // went wrong is mended later. 0..30d
    Milliseconds grace{3'600'000};
    // Of what was compared. More than that, and more than a few, is changed by nobody. 0..100
    unsigned max_change_percent = 5;
    // What is set aside goes below it, in its own pool. In a folder a hidden one: ".quarantine/".
    std::string quarantine_prefix = "quarantine/";
    bool operator==(const ReconcileSettings&) const = default;
};

// [origin]: fetching from S3 pools while a client waits. All times lie below the edge's.
struct OriginSettings {
    Milliseconds connect_timeout{5'000};      // TCP and TLS. 100ms..60s
    Milliseconds first_byte_timeout{15'000};  // from the request to its answer's head. 100ms..85s
    Milliseconds stall_timeout{15'000};       // without a byte in a body. 100ms..85s
    unsigned tries = 4;                       // of one object, the first included. 1..20
    unsigned connections = 128;               // to one host, per loop. 1..10000
    std::uint64_t buffer_bytes = 1024ULL * 1024;  // "buffer": held of one body. 64KiB..64MiB
    std::string loop_id = "tidepool";             // our name in CDN-Loop (RFC 8586); a token
    bool operator==(const OriginSettings&) const = default;
};

// [variants]: files that are made from an original. What these limits refuse is never tried again
// until the setting changes.
struct VariantSettings {
    std::uint64_t source_bytes = 128ULL * 1024 * 1024;  // "source": of an original. 1KiB..2GiB
    unsigned pixels = 100'000'000;                      // of a still image. 1..1e9
    unsigned frames = 1000;                             // of an animation. 1..100000
    unsigned animation_pixels = 50'000'000;             // of all frames of an animation. 1..1e9
    std::uint64_t result_bytes = 64ULL * 1024 * 1024;   // "result": of a variant. 1KiB..1GiB
    bool progressive_jpeg = true;                       // false = baseline
    unsigned avif_above = 64;  // AVIF is made of images that are wider or higher. 0..16384
    bool on_demand = true;     // made when they are first asked for; false = 404
    // Two kinds of worker processes, so that what takes long holds up only its like: JPEG, WebP,
    // PNG and GIF in the cheap lane; AVIF, JPEG XL, animations and large ones in the dear one.
    // Of the cheap one there are two, so that a source which hangs a decoder holds up no other.
    unsigned cheap_workers = 2;         // processes. 1..256
    unsigned cheap_queue = 128;         // waiting variants; more are 503. 1..100000
    unsigned dear_workers = 2;          // the same, of the other lane
    unsigned dear_queue = 32;           // the same
    Milliseconds wait_timeout{30'000};  // of a client; then 503 while the work goes on. 100ms..85s
    // Until a variant that is not ready is stood in for by another one. 0..85s
    Milliseconds first_hit_wait{2'000};
    Milliseconds stand_in_lifetime{5'000};  // at the browser; none elsewhere. 1s..1h
    // Originals that are brought from buckets at a time, for each lane; in memory until their
    // worker is done. 1..1000
    unsigned fetches = 4;
    Milliseconds job_timeout{180'000};  // then the worker is killed. 100ms..1h
    // The same in the cheap lane, where it is shorter. 100ms..1h
    Milliseconds cheap_job_timeout{30'000};
    std::uint64_t worker_memory_bytes =
        1024ULL * 1024 * 1024;  // "worker_memory": what images may take in one. 64MiB..64GiB
    std::uint64_t worker_growth_bytes =
        256ULL * 1024 * 1024;     // "worker_growth": one that keeps more is replaced. 1MiB..64GiB
    unsigned worker_jobs = 1000;  // one that has done so many is replaced. 1..1000000
    unsigned worker_nice = 10;    // see nice(2). 0..19
    Milliseconds failed_for{600'000};  // how long an original is not tried again. 1s..30d
    // Who has one of these pairs of hex texts can order variants that no profile has, by a signed
    // path; each "env:NAME" or "file:/PATH". None = off.
    std::vector<Secret> signing_keys;   // of at least 16 bytes
    std::vector<Secret> signing_salts;  // as many
    unsigned signature_bytes = 32;      // that are left of a signature. 8..32
    bool operator==(const VariantSettings&) const = default;
};

// [private]: images that only a signed URL opens (contracts: b2-s3.md 10).
struct PrivateSettings {
    std::vector<std::string> prefixes;  // of keys whose images are private
    Secret signing_key;                 // text of at least 16 bytes; "env:NAME" or "file:/PATH"
    Secret signing_key_previous;        // its signatures are still accepted
    Milliseconds ttl{10'800'000};       // of a timed signature, from its issue. 1min..7d
    Milliseconds quantum{3'600'000};    // to which times of issue are rounded down. 0..84h
    bool edge_checks = false;           // an edge rule refuses before its cache answers
    bool operator==(const PrivateSettings&) const = default;
};

// [[profile]]: one size of variants. Its name stands in theirs: UUID_NAME.EXT.
struct VariantProfile {
    enum class Fit : std::uint8_t { inside, cover, exact };
    // Which part a cover keeps: a side, or what is found by contrast (entropy) or by what draws the
    // eye (attention).
    enum class Gravity : std::uint8_t { centre, north, east, south, west, entropy, attention };
    std::string name;     // [a-z0-9-]{0,32}, unique; "" = UUID.EXT
    unsigned width = 0;   // in pixels; 0 = follows from the height. 0..16384
    unsigned height = 0;  // the same; both 0 = the original's size
    Fit fit = Fit::inside;
    Gravity gravity = Gravity::centre;
    std::vector<std::string> formats{"webp", "avif", "original"};  // see wrong_in_variant_format
    std::vector<std::string> at_upload{"webp", "avif",
                                       "original"};  // of these; the others on demand only
    std::vector<std::string> not_of;  // formats of originals that have no such variant
    bool stand_in = true;             // another variant may answer in its place while it is made
    bool together = false;            // made, too, when another one of its image is first asked for
    unsigned webp_quality = 80;       // 1..100
    unsigned webp_effort = 4;         // 0..6
    unsigned avif_quality = 55;       // 1..100
    unsigned avif_effort = 4;         // 0..9
    unsigned jpeg_quality = 82;       // 1..100
    unsigned png_compression = 7;     // 0..9
    unsigned jxl_quality = 80;        // 1..100
    unsigned jxl_effort = 5;          // 3..9
    std::string background = "#ffffff";  // behind transparency where the format has none
    unsigned sharpen = 0;                // percent, after making smaller. 0..100
    bool operator==(const VariantProfile&) const = default;
};

// The profiles that hold where the file has none (contracts: pixelfox.md, Keys, paths and URLs).
std::vector<VariantProfile> default_profiles();

// [[pool]]
struct PoolSettings {
    enum class Type : std::uint8_t { local, nfs, s3 };
    enum class Tier : std::uint8_t { hot, warm, cold, archive };
    enum class Serve : std::uint8_t { proxy, redirect };
    enum class Origin : std::uint8_t { s3, friendly };
    enum class Addressing : std::uint8_t { path, virtual_host };
    enum class Visibility : std::uint8_t { everybody, signed_only };  // "public", "private"
    std::string name;                                                 // [a-z0-9-]{1,63}, unique
    Type storage_type = Type::local;
    Tier storage_tier = Tier::hot;
    std::string base_path;  // local, nfs: absolute; the folder that used to be mounted under
                            // url_prefix
    std::string marker;     // local, nfs: name of a file directly below it that is there only while
                            // the right disk is mounted; "" = none
    std::uint64_t max_size_bytes = 0;  // "max_size": of all objects; 0 = no limit. 0..1EiB
    int priority = 100;                // lower is asked first within a tier. 0..1000000
    bool is_active = true;
    bool is_default = false;        // takes uploads where nothing else fits; at most one
    bool is_backup_target = false;  // holds copies of originals; s3 only
    std::string mirror;             // name of the pool that gets a copy of each object; "" = none
    std::string public_base_url;    // "https://images.example": what visitors use; "" = the site's
    std::string upload_api_url;     // of the node that takes uploads for this pool
    Visibility visibility = Visibility::everybody;  // of all images that live here
    bool strip_metadata = false;  // uploads lose their GPS, EXIF and the like, not their pixels
    std::string node_id;          // of the node that has the pool's disk
    std::string description;
    // s3 only.
    Secret access_key_id;  // text, "env:NAME" or "file:/PATH"; an id is no secret, so it may stand
                           // in the file
    Secret secret_access_key;  // "env:NAME" or "file:/PATH"
    std::string region;        // "us-west-001"
    std::string bucket;        // 3..63 of a-z, 0-9, "-", "."
    std::string endpoint_url;  // "https://s3.us-west-001.backblazeb2.com"
    std::string download_url;  // B2's friendly host, "https://f001.backblazeb2.com"
    // Reads a private bucket by its friendly URL, with a token of b2_get_download_authorization.
    bool download_authorization = false;
    // "download_authorization_lifetime": of such a token. 20s..168h
    Milliseconds download_authorization_lifetime{86'400'000};
    std::string native_url = "https://api.backblazeb2.com";  // of b2_authorize_account
    std::string path_prefix;                   // before every key in the bucket; normally ""
    Addressing addressing = Addressing::path;  // of the bucket: in the path or in the host name
    Serve serve = Serve::proxy;
    Origin origin = Origin::s3;
    // What a UTC day may cost; 0 = no limit. The soft limit warns, at this part of the hard one.
    std::int64_t daily_class_a_calls = 0;  // writes and deletes. 0..1e12
    std::int64_t daily_class_b_calls = 0;  // reads. 0..1e12
    std::int64_t daily_class_c_calls = 0;  // lists, copies, authorizations. 0..1e12
    std::uint64_t daily_egress_bytes = 0;  // "daily_egress". 0..1PiB
    unsigned budget_warning_percent = 80;  // 1..100
    // What background work may do with this pool; what visitors ask for does not count.
    unsigned jobs = 4;                      // at a time. 1..256
    std::uint64_t job_bandwidth_bytes = 0;  // "job_bandwidth": a second; 0 = no limit. 0..1TiB
    unsigned job_requests = 0;              // a second; 0 = no limit. 0..100000
    Milliseconds debug_disk_delay{
        0};  // for tests: every disk call of this pool takes this much longer. 0..60s
    bool is_private() const { return visibility == Visibility::signed_only; }
    bool operator==(const PoolSettings&) const = default;
};

struct Settings {
    ServerSettings server;
    AdminSettings admin;
    LimitSettings limits;
    TimeoutSettings timeouts;
    WorkerSettings workers;
    CacheSettings cache;
    TypeSettings types;
    EdgeSettings edge;
    HotlinkSettings hotlink;
    RateLimitSettings rate_limits;
    std::vector<RateLimitRule> rate_limit;
    TlsSettings tls;
    std::vector<CertificateSettings> certificates;
    AccessLogSettings access_log;
    LogSettings log;
    CatalogSettings catalog;
    ShelfSettings shelf;
    JobSettings jobs;
    MoveSettings move;
    DeleteSettings deletion;  // [delete]
    PurgeSettings purge;
    BackupSettings backup;
    UploadSettings upload;
    TieringSettings tiering;
    ReconcileSettings reconcile;
    OriginSettings origin;
    VariantSettings variants;
    PrivateSettings private_images;  // [private]
    std::vector<VariantProfile> profiles = default_profiles();
    std::vector<CacheControlRule> cache_control = default_cache_control();
    std::vector<PoolSettings> pools;
    bool operator==(const Settings&) const = default;
};

}  // namespace tidepool::conf
