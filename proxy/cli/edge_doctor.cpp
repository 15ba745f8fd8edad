// tidepool edge doctor: looks at a live set-up from the outside, and says what is to be mended.
#include "conf/bytes.h"
#include "conf/listen_address.h"
#include "conf/quote.h"
#include "conf/random_name.h"
#include "proxy/cli/ask_head.h"
#include "proxy/cli/doctor_bucket.h"
#include "proxy/cli/doctor_targets.h"
#include "proxy/cli/edge.h"
#include "proxy/cli/output.h"
#include "proxy/edge/doctor.h"
#include "proxy/serve/url_signature.h"
#include "storage/s3_http.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace tidepool::cli {

namespace {

using edge::Diagnosis;
using edge::Grade;
using edge::SeenAnswer;

constexpr std::uint64_t kMostTaken = 64ULL << 20;  // bytes of one body
constexpr int kCacheTries = 3;                     // a data centre has several machines that store

// Asks as a visitor does.
class Visitor {
  public:
    explicit Visitor(storage::HttpLimits limits) : http_(std::move(limits)) {}

    std::expected<SeenAnswer, storage::HttpFault> ask(
        std::string_view method, const std::string& url,
        std::vector<storage::NamedValue> headers = {}) {
        std::uint64_t bytes = 0;
        storage::HttpExchange exchange;
        exchange.take = [&bytes](const storage::HttpAnswer&,
                                 std::span<const char> piece) -> Result<void> {
            bytes += piece.size();
            if (bytes > kMostTaken) return fail(ErrorKind::too_large, "the answer is too long");
            return {};
        };
        auto answer = http_.perform(
            {.method = std::string(method), .url = url, .headers = std::move(headers)}, exchange);
        if (!answer) return std::unexpected(std::move(answer.error()));
        SeenAnswer seen{.head = {.status = answer->status, .fields = {}},
                        .bytes = bytes > 0 ? bytes : answer->body.size()};
        for (const storage::NamedValue& field : answer->headers)
            seen.head.fields.add(field.name, field.value);
        return seen;
    }

  private:
    storage::S3Http http_;
};

// What went wrong before there was an answer.
Diagnosis finding_of(const storage::HttpFault& fault) {
    const std::string text = conf::printable(fault.ours ? fault.ours->text : fault.text);
    switch (fault.fault) {
        case storage::TransportFault::tls:
            return {"certificate", Grade::fail, text,
                    "the edge has no good certificate for this host: SSL/TLS, Edge Certificates; "
                    "a name two levels below the zone needs one of its own"};
        case storage::TransportFault::resolve:
            return {"proxied", Grade::fail, text,
                    "the host has no record: see DNS > Records in tidepool edge rules"};
        default:
            return {"reached", Grade::fail, text, "nobody answers: is the host's record proxied?"};
    }
}

class Doctor {
  public:
    Doctor(const ZoneSetup& setup, storage::HttpLimits limits)
        : setup_(setup), visitor_(std::move(limits)) {}

    // False where the image was not found, so that more of its host cannot be known.
    bool look_at(const DoctorTarget& target);
    void look_at_private(const PrivateTarget& target);
    void look_at_fence(const DoctorTarget& target);
    void look_at_lock(const std::string& url, const conf::ListenAddress& origin);
    void add(Diagnosis finding, const std::string& subject) {
        finding.subject = subject;
        findings_.push_back(std::move(finding));
    }
    const std::vector<Diagnosis>& findings() const { return findings_; }

  private:
    // Nothing where there was no answer, which is a finding.
    std::optional<SeenAnswer> ask(const std::string& subject, const std::string& url,
                                  std::vector<storage::NamedValue> headers = {},
                                  std::string_view method = "GET");
    void look_at_conditions(const DoctorTarget& target, const std::string& url,
                            const SeenAnswer& got);

    const ZoneSetup& setup_;
    Visitor visitor_;
    std::vector<Diagnosis> findings_;
};

std::optional<SeenAnswer> Doctor::ask(const std::string& subject, const std::string& url,
                                      std::vector<storage::NamedValue> headers,
                                      std::string_view method) {
    auto answer = visitor_.ask(method, url, std::move(headers));
    if (answer) return std::move(*answer);
    add(finding_of(answer.error()), subject);
    return std::nullopt;
}

bool Doctor::look_at(const DoctorTarget& target) {
    const edge::Examined& examined = target.examined;
    // One that the edge has not stored yet; a bucket may not like a query that it does not know.
    std::string url = target.url;
    if (!examined.is_direct && url.find('?') == url.npos) url += "?doctor=" + conf::random_name();
    const auto first = ask(target.url, url);
    if (!first) return false;
    add(judge_certificate(examined), target.url);
    const Diagnosis proxied = judge_proxied(*first);
    add(proxied, target.url);
    if (proxied.grade == Grade::fail) return false;  // the rest is about the edge
    const Diagnosis found = judge_found(examined, *first);
    add(found, target.url);
    if (found.grade == Grade::fail) return false;
    std::optional<SeenAnswer> second;
    for (int tries = 0; tries < kCacheTries; ++tries) {
        second = ask(target.url, url);
        if (!second) return false;
        if (second->head.fields.value("cf-cache-status") == "HIT") break;
    }
    add(judge_cache(examined, *first, *second), target.url);
    look_at_conditions(target, url, *second);
    add(judge_lifetime(examined, *second), target.url);
    add(judge_fields(examined, *second), target.url);
    return true;
}

void Doctor::look_at_conditions(const DoctorTarget& target, const std::string& url,
                                const SeenAnswer& got) {
    const std::string etag = got.head.fields.value("etag");
    const std::string modified = got.head.fields.value("last-modified");
    std::optional<SeenAnswer> again;
    if (!etag.empty()) {
        again = ask(target.url, url, {{"if-none-match", etag}});
    } else if (!modified.empty()) {
        again = ask(target.url, url, {{"if-modified-since", modified}});
    }
    if (again || (etag.empty() && modified.empty())) add(judge_unchanged(got, again), target.url);
    if (const auto head = ask(target.url, url, {}, "HEAD")) add(judge_head(got, *head), target.url);
    if (got.bytes < 2) return;
    const edge::AskedRange range{.first = got.bytes / 2, .last = got.bytes - 1};
    const auto part =
        ask(target.url, url, {{"range", fmt::format("bytes={}-{}", range.first, range.last)}});
    if (part) add(judge_range(got, *part, range), target.url);
}

void Doctor::look_at_private(const PrivateTarget& target) {
    const auto made = serve::sign_url(setup_.settings.private_images, {.url = target.url}, now_s());
    if (!made) {
        add({"private", Grade::fail, made.error().text, "see [private]"}, target.url);
        return;
    }
    auto bare = ask(target.url, target.url);
    if (!bare) return;
    auto with = ask(target.url, made->url);
    if (!with) return;
    auto again = ask(target.url, made->url);
    if (!again) return;
    auto bare_again = ask(target.url, target.url);
    if (!bare_again) return;
    Diagnosis finding = edge::judge_private({.bare = std::move(*bare),
                                             .with = std::move(*with),
                                             .again = std::move(*again),
                                             .bare_again = std::move(*bare_again)},
                                            setup_.settings.private_images.edge_checks);
    if (finding.grade == Grade::ok && !target.is_there)
        finding.seen += "; no private image is known, so whether the edge keeps one is not";
    add(std::move(finding), target.url);
}

// At a bucket's own host, which checks nothing by itself.
void Doctor::look_at_fence(const DoctorTarget& target) {
    const std::string base = target.url.substr(0, target.url.find('/', target.url.find("://") + 3));
    for (const std::string& path : fenced_paths(setup_)) {
        if (const auto got = ask(target.url, base + path))
            add(edge::judge_fence(path, *got), target.url);
    }
}

// Past the edge, and without what proves that it is the edge.
void Doctor::look_at_lock(const std::string& url, const conf::ListenAddress& origin) {
    const conf::EdgeSettings& settings = setup_.settings.edge;
    const std::string address = origin.text();
    if (!settings.has_checks() || settings.lock != conf::EdgeSettings::Lock::enforce) {
        add({"lock", Grade::warn,
             settings.has_checks() ? "the origin lock refuses nobody" : "there is no origin lock",
             "who finds the server's address gets past the edge: see edge.secret_header and "
             "edge.lock"},
            address);
        return;
    }
    const auto question = edge::read_question(url);
    if (!question) return;
    const auto text =
        ask_head(origin, fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                                     question->target, question->host));
    if (text) {
        const auto answer = edge::read_answer(*text);
        if (answer) {
            add(edge::judge_lock(answer->status), address);
            return;
        }
    }
    const bool is_ended = !text && text.error().kind == ErrorKind::closed;
    if (is_ended) {
        add(edge::judge_lock(std::nullopt), address);
        return;
    }
    add({"lock", Grade::warn, text ? "it sends what is no answer" : text.error().text,
         "nobody was let in, and whether anybody would be is not known: give --origin HOST:PORT "
         "of a listener that speaks plain HTTP"},
        address);
}

std::expected<storage::HttpLimits, int> limits_of_doctor(const DoctorArguments& arguments) {
    const auto timeout = conf::parse_duration(arguments.timeout);
    constexpr std::chrono::milliseconds kShortest{1000};
    constexpr std::chrono::milliseconds kLongest{600'000};
    if (!timeout || *timeout < kShortest || *timeout > kLongest)
        return std::unexpected(wrong_use(
            {ErrorKind::invalid, "--timeout: expected a time from 1s to 10m, such as 20s"},
            arguments.json));
    storage::HttpLimits limits{.connect_timeout = *timeout,
                               .stall_timeout = std::chrono::ceil<std::chrono::seconds>(*timeout),
                               .kept_connections = 2};
    if (arguments.edge.empty()) return limits;
    const auto address = conf::parse_listen_address(arguments.edge);
    if (!address || address->family == conf::ListenAddress::Family::unix_path)
        return std::unexpected(wrong_use({ErrorKind::invalid,
                                          "--edge: expected an address and its port, such as "
                                          "192.0.2.1:443"},
                                         arguments.json));
    limits.connect_to = arguments.edge;
    return limits;
}

std::expected<conf::ListenAddress, int> origin_of_doctor(const DoctorArguments& arguments,
                                                         const conf::Settings& settings) {
    if (arguments.origin.empty()) return settings.server.listen.front();
    auto address = conf::parse_listen_address(arguments.origin);
    if (address) return std::move(*address);
    return std::unexpected(
        wrong_use({address.error().kind, "--origin: " + address.error().text}, arguments.json));
}

std::expected<std::optional<Workspace>, int> workspace_of(const DoctorArguments& arguments,
                                                          const ZoneSetup& setup) {
    if (!has_catalog_file(setup.settings)) return std::nullopt;
    CommonOptions options;
    options.config = arguments.config;
    options.state_dir = arguments.state_dir;
    options.json = arguments.json;
    auto opened = Workspace::open(options);
    if (!opened) return std::unexpected(opened.error());
    return std::move(*opened);
}

std::expected<DoctorTargets, int> targets_of(const DoctorArguments& arguments,
                                             const ZoneSetup& setup, Workspace* workspace) {
    if (arguments.urls.empty()) return find_targets(setup, workspace);
    DoctorTargets targets;
    for (const std::string& url : arguments.urls) {
        auto target = target_of(setup, url);
        if (!target) return std::unexpected(wrong_use(target.error(), arguments.json));
        targets.targets.push_back(std::move(*target));
    }
    return targets;
}

Json findings_json(const std::vector<Diagnosis>& findings) {
    Json list = Json::array();
    for (const Diagnosis& finding : findings)
        list.push_back({{"check", finding.check},
                        {"grade", name_of(finding.grade)},
                        {"subject", finding.subject},
                        {"seen", finding.seen},
                        {"advice", finding.advice.empty() ? Json(nullptr) : Json(finding.advice)}});
    return list;
}

void print_findings(const std::vector<Diagnosis>& findings) {
    std::string_view subject;
    for (const Diagnosis& finding : findings) {
        if (finding.subject != subject) {
            fmt::print("{}{}\n", subject.empty() ? "" : "\n", conf::printable(finding.subject));
            subject = finding.subject;
        }
        fmt::print("  {:<4}  {}: {}\n", name_of(finding.grade), finding.check,
                   conf::printable(finding.seen));
        if (!finding.advice.empty()) fmt::print("        {}\n", finding.advice);
    }
}

int report_findings(const std::vector<Diagnosis>& findings, bool json) {
    const auto count = [&](Grade grade) {
        return std::ranges::count(findings, grade, &Diagnosis::grade);
    };
    const bool is_well = count(Grade::fail) == 0;
    if (json) {
        print_json({{"ok", is_well}, {"findings", findings_json(findings)}});
    } else {
        print_findings(findings);
        fmt::print("\n{} ok, {} to look at, {} wrong\n", count(Grade::ok), count(Grade::warn),
                   count(Grade::fail));
    }
    return is_well ? 0 : 1;
}

}  // namespace

int examine_edge(const DoctorArguments& arguments) {
    const auto limits = limits_of_doctor(arguments);
    if (!limits) return limits.error();
    ZoneArguments zone;
    zone.config = arguments.config;
    zone.state_dir = arguments.state_dir;
    const auto setup = read_zone_setup(zone);
    if (!setup) return setup.error();
    const auto origin = origin_of_doctor(arguments, setup->settings);
    if (!origin) return origin.error();
    auto workspace = workspace_of(arguments, *setup);
    if (!workspace) return workspace.error();
    Workspace* const opened = *workspace ? &**workspace : nullptr;
    const auto targets = targets_of(arguments, *setup, opened);
    if (!targets) return targets.error();

    Doctor doctor(*setup, *limits);
    const DoctorTarget* ours = nullptr;
    bool finds_ours = false;
    for (const DoctorTarget& target : targets->targets) {
        const bool is_found = doctor.look_at(target);
        if (target.examined.is_direct) {
            if (is_found) doctor.look_at_fence(target);
            continue;
        }
        if (ours == nullptr) ours = &target;
        finds_ours = finds_ours || is_found;
    }
    for (const std::string& gap : targets->gaps)
        doctor.add({"found", Grade::warn, gap, "tidepool edge doctor URL"}, "catalog");
    if (ours != nullptr) doctor.look_at_lock(ours->url, *origin);
    // Where nothing is let in, no signature is to blame.
    if (finds_ours || (ours == nullptr && arguments.urls.empty())) {
        if (const auto hidden = private_target(*setup, opened)) doctor.look_at_private(*hidden);
    }
    // Buckets are asked by their own API, whatever the edge is.
    storage::HttpLimits bucket_limits = *limits;
    bucket_limits.connect_to.clear();
    for (const conf::PoolSettings& pool : setup->pools) {
        for (Diagnosis& finding : look_at_bucket(pool, setup->facts.url_prefix, bucket_limits))
            doctor.add(std::move(finding), "pool " + pool.name);
    }
    return report_findings(doctor.findings(), arguments.json);
}

}  // namespace tidepool::cli
