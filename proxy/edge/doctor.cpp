#include "proxy/edge/doctor.h"

#include "conf/ascii.h"
#include "conf/quote.h"
#include "proxy/edge/directive_list.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

namespace tidepool::edge {

namespace {

std::string shown(const SeenAnswer& got, std::string_view field) {
    const std::string value = got.head.fields.value(field);
    return value.empty() ? fmt::format("no {}", field) : conf::printable(value);
}

std::string cache_status(const SeenAnswer& got) {
    return got.head.fields.value("cf-cache-status");
}

std::string cache_status_text(const SeenAnswer& got) {
    const std::string status = cache_status(got);
    return status.empty() ? "no CF-Cache-Status" : conf::printable(status);
}

Diagnosis good(std::string_view check, std::string seen) {
    return {.check = std::string(check), .grade = Grade::ok, .seen = std::move(seen)};
}
Diagnosis doubtful(std::string_view check, std::string seen, std::string advice) {
    return {std::string(check), Grade::warn, std::move(seen), std::move(advice)};
}
Diagnosis bad(std::string_view check, std::string seen, std::string advice) {
    return {std::string(check), Grade::fail, std::move(seen), std::move(advice)};
}

// The edge answered by itself, without its cache or the origin.
bool is_of_a_rule(const SeenAnswer& got) {
    const std::string status = cache_status(got);
    return status.empty() || status == "NONE" || status == "UNKNOWN";
}

std::string why_not_kept(const Examined& examined, const std::string& status) {
    if (status == "DYNAMIC")
        return examined.is_direct
                   ? "the rule \"tidepool: keep the images of HOST\" is missing or does not match"
                   : "the rule \"tidepool: keep images as long as the origin says\" is missing, or "
                     "a later one bypasses the cache";
    if (status == "BYPASS")
        return examined.is_direct
                   ? "the bucket forbids to store it and no rule overrides that: \"tidepool: keep "
                     "the images of HOST\""
                   : "the answer forbids to store it: see tidepool edge explain URL";
    return "the edge has stored it and does not find it again: look for a rule that changes the "
           "cache key, or for development mode";
}

}  // namespace

std::string_view name_of(Grade grade) {
    constexpr std::array<std::string_view, 3> kNames{"ok", "warn", "fail"};
    return kNames.at(static_cast<std::size_t>(grade));
}

Diagnosis judge_proxied(const SeenAnswer& got) {
    const FieldList& fields = got.head.fields;
    const bool is_edge = conf::lower_case(fields.value("server")) == "cloudflare";
    if (is_edge && fields.has("cf-ray"))
        return good("proxied", "CF-Ray " + conf::printable(fields.value("cf-ray")));
    return bad("proxied",
               fmt::format("server: {}, and no CF-Ray", conf::printable(fields.value("server"))),
               "visitors come past the edge: set the DNS record to proxied (the orange cloud), and "
               "see that no other host or port is given to them");
}

Diagnosis judge_certificate(const Examined& examined) {
    if (examined.is_tls) return good("certificate", "is valid, and for this host");
    return doubtful("certificate", "asked by http://, so nobody has looked",
                    "ask for an https:// URL, and let the edge send http:// there (SSL/TLS, Edge "
                    "Certificates, Always Use HTTPS)");
}

Diagnosis judge_found(const Examined& examined, const SeenAnswer& got) {
    const std::string_view check = examined.is_direct ? "rewrite" : "found";
    const int status = got.head.status;
    const std::string type = got.head.fields.value("content-type");
    const std::string seen = fmt::format("{}, {}", status, shown(got, "content-type"));
    const bool is_image = status == 200 && type.starts_with("image/");
    if (is_image) return good(check, seen);
    if (status == 403 && is_of_a_rule(got))
        return bad(check, "403 of the edge itself",
                   "a custom rule, or a setting against robots, refuses what this asks: see "
                   "Security > Analytics for the CF-Ray");
    if (examined.is_direct)
        return bad(check, seen,
                   "the path does not come to the bucket as /file/BUCKET/...: the rule \"tidepool: "
                   "find the bucket BUCKET on HOST\" is missing, or the record does not lead to "
                   "the account's friendly host");
    if (status >= 520 && status <= 530)
        return bad(check, seen,
                   "the edge does not get an answer of this server: look at its listeners, "
                   "certificate (525, 526), client certificates (520) and firewall (522)");
    if (status == 403)
        return bad(check, seen,
                   "this server refuses the edge: the rule \"tidepool: prove to the origin that it "
                   "is this zone\" is missing, or has another secret than edge.secret");
    return bad(check, seen, "ask for a URL of an image that there is");
}

Diagnosis judge_cache(const Examined& examined, const SeenAnswer& first, const SeenAnswer& second) {
    const std::string status = cache_status(second);
    const std::string seen =
        fmt::format("{}, then {}", cache_status_text(first), cache_status_text(second));
    if (status == "HIT") return good("cache", seen);
    if (status == "REVALIDATED" || status == "EXPIRED")
        return bad("cache", seen,
                   "the edge stores it and asks again each time: its lifetime there is 0, see "
                   "tidepool edge explain URL");
    if (status == "UPDATING" || status == "STALE")
        return doubtful("cache", seen, "what is stored is old: see whether the origin answers");
    return bad("cache", seen, why_not_kept(examined, status));
}

Diagnosis judge_unchanged(const SeenAnswer& got, const std::optional<SeenAnswer>& again) {
    if (!again)
        return bad("unchanged", "neither ETag nor Last-Modified",
                   "a rule of the zone strips validators: browsers then fetch all anew");
    const bool is_strong = got.head.fields.value("etag").starts_with('"');
    if (again->head.status != 304)
        return bad("unchanged", fmt::format("{} to a condition that holds", again->head.status),
                   "look for a rule that changes or strips ETag");
    const std::string seen = fmt::format("304, {}", cache_status_text(*again));
    if (cache_status(*again) != "HIT" && cache_status(*again) != "REVALIDATED")
        return doubtful("unchanged", seen, "the origin is asked for it: see the check \"cache\"");
    if (got.head.fields.has("etag") && !is_strong)
        return doubtful("unchanged", seen + "; the ETag is a weak one",
                        "the edge changes the bytes: switch Polish and the like off for images");
    return good("unchanged", seen);
}

Diagnosis judge_head(const SeenAnswer& got, const SeenAnswer& head) {
    std::vector<std::string> different;
    if (head.head.status != got.head.status)
        different.push_back(fmt::format("status {}, not {}", head.head.status, got.head.status));
    for (const std::string_view name : {"content-type", "content-length", "etag", "cache-control",
                                        "accept-ranges", "last-modified"}) {
        if (head.head.fields.value(name) != got.head.fields.value(name))
            different.push_back(
                fmt::format("{}: {}, not {}", name, shown(head, name), shown(got, name)));
    }
    if (different.empty()) return good("head", "as GET");
    return bad("head", fmt::format("{}", fmt::join(different, "; ")),
               "a rule makes a difference between methods: leave http.request.method out of rules "
               "for images, purges come with another one, too");
}

Diagnosis judge_range(const SeenAnswer& got, const SeenAnswer& part, AskedRange range) {
    const std::string wanted = fmt::format("bytes {}-{}/{}", range.first, range.last, got.bytes);
    const std::string given = part.head.fields.value("content-range");
    const std::string seen =
        fmt::format("{}, {}, {} bytes", part.head.status, shown(part, "content-range"), part.bytes);
    if (part.head.status == 206 && given == wanted && part.bytes == range.last - range.first + 1)
        return good("range", fmt::format("206, {}", given));
    if (part.head.status == 200)
        return doubtful("range", seen,
                        "the edge sends all of it: something on the way is not cached, or is "
                        "compressed");
    return bad("range", seen,
               fmt::format("expected 206 with \"{}\": players and downloads break here", wanted));
}

Diagnosis judge_lifetime(const Examined& examined, const SeenAnswer& got) {
    const std::string value = got.head.fields.value("cache-control");
    if (value.empty())
        return bad("lifetime", "no Cache-Control",
                   "browsers guess: a rule of the zone takes it away, or the one that sets it is "
                   "missing");
    const DirectiveList told = DirectiveList::parse(value);
    const DirectiveList wanted = DirectiveList::parse(examined.cache_control);
    const std::string seen = conf::printable(value);
    if (examined.cache_control.empty() || value == examined.cache_control)
        return good("lifetime", seen);
    const auto is_same = [&](std::string_view name) {
        return told.has(name) == wanted.has(name) && told.seconds(name) == wanted.seconds(name);
    };
    if (is_same("max-age") && is_same("no-store") && is_same("private") && is_same("no-cache"))
        return doubtful("lifetime", seen,
                        fmt::format("expected \"{}\"; for how long it is kept is the same",
                                    examined.cache_control));
    return bad("lifetime", seen,
               examined.is_direct
                   ? fmt::format("expected \"{}\": the rule \"tidepool: let browsers keep the "
                                 "images of HOST\" is missing",
                                 examined.cache_control)
                   : fmt::format("expected \"{}\": set Browser Cache TTL of the zone (Caching > "
                                 "Configuration) to Respect Existing Headers, or look for a cache "
                                 "rule that changes it",
                                 examined.cache_control));
}

Diagnosis judge_fields(const Examined& examined, const SeenAnswer& got) {
    std::vector<std::string> leaks;
    for (const Field& field : got.head.fields.all()) {
        if (field.name.starts_with("x-bz-")) leaks.push_back(field.name);
    }
    if (!leaks.empty())
        return bad(
            "fields", fmt::format("{}", fmt::join(leaks, ", ")),
            "they tell of the bucket: the rule \"tidepool: tell nothing of the bucket behind "
            "HOST\" is missing, or does not have them all");
    if (got.head.fields.has("set-cookie"))
        return bad(
            "fields", "Set-Cookie",
            "the edge stores no answer with a cookie: a product of the zone (bot management, "
            "load balancing) or a rule sets it; leave images out there");
    for (const std::string& name : members_of(got.head.fields.value("vary"))) {
        if (name != "accept-encoding")
            return bad("fields", "Vary: " + conf::printable(name),
                       "the edge gives the first form to everybody, or keeps none: take it away");
    }
    if (got.head.fields.value("x-content-type-options") != "nosniff")
        return doubtful("fields", "no X-Content-Type-Options: nosniff",
                        examined.is_direct ? "the rule \"tidepool: tell nothing of the bucket "
                                             "behind HOST\" sets it"
                                           : "a rule of the zone takes it away");
    return good("fields", "nothing that should not be there");
}

Diagnosis judge_lock(std::optional<int> status) {
    if (!status) return good("lock", "the origin ends the connection");
    if (*status == 403) return good("lock", "403 of the origin to who comes past the edge");
    return bad("lock", fmt::format("{} of the origin to who comes past the edge", *status),
               "everybody who finds its address gets past the edge: see edge.secret_header, "
               "edge.only_trusted_peers and edge.client_ca_files, with edge.lock = \"enforce\"");
}

Diagnosis judge_private(const PrivateAnswers& answers, bool edge_checks) {
    const int with = answers.with.head.status;
    for (const SeenAnswer* bare : {&answers.bare, &answers.bare_again}) {
        if (bare->head.status == 403) continue;
        return bad(
            "private",
            fmt::format("{} without a signature, {}", bare->head.status, cache_status_text(*bare)),
            "private images are shown to everybody: purge the prefix (tidepool purge "
            "--prefix), and look for a rule that ignores the query string or serves this "
            "path past the server");
    }
    if (edge_checks && !is_of_a_rule(answers.bare))
        return bad("private", "refused by the origin and not by the edge",
                   "private.edge_checks = true, but the rule \"tidepool: refuse private images "
                   "without a signature\" is missing: URLs go on working after their end");
    if (with == 403 || with == 410)
        return bad("private",
                   fmt::format("{} with a signature{}", with,
                               is_of_a_rule(answers.with) ? " of the edge" : ""),
                   is_of_a_rule(answers.with)
                       ? "the edge's rule has another key or ttl than [private]: apply it again"
                       : "the query string does not come to the origin as it was sent");
    const bool is_kept = cache_status(answers.again) == "HIT";
    if (!edge_checks && is_kept)
        return bad("private", "the edge has stored what a signature opens",
                   "who has the URL sees it after its end: the rule \"tidepool: keep no private "
                   "images\" is missing, and another one overrides what the origin says; purge the "
                   "prefix (tidepool purge --prefix)");
    return good("private", fmt::format("403 without a signature, {} with one{}", with,
                                       is_kept ? ", kept at the edge" : ""));
}

Diagnosis judge_fence(std::string_view path, const SeenAnswer& got) {
    if (got.head.status == 403 && is_of_a_rule(got))
        return good("fence", fmt::format("403 of the edge for {}", path));
    return bad("fence", fmt::format("{} for {}, {}", got.head.status, path, cache_status_text(got)),
               "the rule \"tidepool: show nothing but images on ...\" is missing or older than the "
               "configuration: the host shows other buckets and private images (tidepool edge "
               "apply), and what it has shown may be kept (tidepool purge --prefix)");
}

}  // namespace tidepool::edge
