#include "proxy/edge/side_facts.h"

#include "proxy/edge/directive_list.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tidepool::edge {

namespace {

constexpr std::array<std::string_view, 6> kConsumed{
    "x-accel-buffering", "x-accel-charset", "x-accel-limit-rate",
    "x-accel-redirect",  "cache-tag",       "cloudflare-cdn-cache-control"};
// Fields of a request that are part of the key, beside Origin (3.8).
constexpr std::array<std::string_view, 9> kInKey{
    "x-http-method-override", "x-http-method",  "x-method-override", "x-forwarded-host", "x-host",
    "x-forwarded-scheme",     "x-original-url", "x-rewrite-url",     "forwarded"};
constexpr std::int64_t kReserveSeconds = 36000;  // 3.9: ten hours

void say_validators(const Answer& answer, Reasons& reasons) {
    if (answer.status != 200 && answer.status != 206 && answer.status != 304) return;
    const TagKind kind = tag_kind(answer);
    const bool has_date = answer.fields.has("last-modified");
    const std::string type = answer.fields.value("content-type");
    if (kind == TagKind::unquoted) {
        reasons.push_back({"ETag", "is not in double quotes, so the edge takes it away"});
    } else if (kind == TagKind::weak) {
        reasons.push_back({"ETag", "is weak: good for 304, not for If-Range"});
    } else if (kind == TagKind::strong &&
               (type.starts_with("image/svg") || type.starts_with("text/"))) {
        reasons.push_back({"ETag", "is strong, and becomes weak (W/) where the edge compresses"});
    } else if (kind == TagKind::strong) {
        reasons.push_back({"ETag", "is strong and stays so, as the edge does not change the body"});
    }
    const bool has_tag = kind == TagKind::weak || kind == TagKind::strong;
    if (!has_tag && !has_date)
        reasons.push_back({"validators",
                           "neither ETag nor Last-Modified: the edge invents Last-Modified, the "
                           "time of storing, and answers 304 by it"});
}

void say_key(const Question& question, Reasons& reasons) {
    reasons.push_back({"cache key", question.query().empty()
                                        ? "host and path; each other query string is another entry"
                                        : fmt::format("host, path and \"?{}\": each other query "
                                                      "string is another entry",
                                                      question.query())});
    reasons.push_back(
        {"cache key",
         question.fields.has("origin")
             ? "Origin was sent: this is an entry beside the one without, which a purge by URL "
               "does "
               "not remove (purge by tag or prefix does)"
             : "a request with an Origin field (crossorigin) makes an entry of its own, which a "
               "purge by URL does not remove"});
    for (const Field& field : question.fields.all()) {
        if (std::ranges::find(kInKey, field.name) != kInKey.end())
            reasons.push_back(
                {"cache key", fmt::format("{} was sent and is part of it", field.name)});
    }
    for (const Field& field : question.fields.all()) {
        if (field.name == "range" || field.name.starts_with("if-"))
            reasons.push_back(
                {field.name,
                 "is not passed on at a miss: the edge fetches all of it and judges by "
                 "itself"});
    }
}

void say_storage(const Answer& answer, const EdgePlan& plan, Reasons& reasons) {
    const std::int64_t ttl_s = plan.ttl_s.value_or(0);
    const bool has_length = answer.fields.has("content-length");
    if (ttl_s >= kReserveSeconds && has_length) {
        reasons.push_back(
            {"Cache Reserve", "would take it: 10 hours or more, with Content-Length"});
    } else {
        reasons.push_back({"Cache Reserve",
                           fmt::format("would not take it: {}",
                                       has_length ? "less than 10 hours" : "no Content-Length")});
    }
    reasons.push_back(
        {"storage", "lifetimes are upper bounds: the edge may forget it at any time"});
}

}  // namespace

TagKind tag_kind(const Answer& answer) {
    const std::string value = answer.fields.value("etag");
    if (value.empty()) return TagKind::none;
    std::string_view tag = value;
    const bool is_weak = tag.starts_with("W/");
    if (is_weak) tag.remove_prefix(2);
    const bool is_quoted =
        tag.size() >= 2 && tag.front() == '"' && tag.find('"', 1) == tag.size() - 1;
    if (!is_quoted || tag.find_first_of(" \t") != tag.npos) return TagKind::unquoted;
    return is_weak ? TagKind::weak : TagKind::strong;
}

std::vector<std::string> removed_fields(const Answer& answer) {
    std::vector<std::string> names;
    for (const std::string_view name : kConsumed) {
        if (answer.fields.has(name)) names.emplace_back(name);
    }
    if (tag_kind(answer) == TagKind::unquoted) names.emplace_back("etag");
    return names;
}

void add_side_facts(const Question& question, const Answer& answer, const EdgePlan& plan,
                    Reasons& reasons) {
    say_validators(answer, reasons);
    if (plan.is_eligible) say_key(question, reasons);
    if (plan.stores) say_storage(answer, plan, reasons);
    if (const auto names = removed_fields(answer); !names.empty())
        reasons.push_back(
            {"removed", fmt::format("the visitor does not see {}", fmt::join(names, ", "))});
    const DirectiveList control = DirectiveList::parse(answer.fields.value("cache-control"));
    if (plan.stores && !control.has("private") && !control.has("no-store"))
        reasons.push_back(
            {"zone setting",
             "Browser Cache TTL, where it is set, replaces a smaller max-age on the way "
             "to browsers"});
    if (plan.is_eligible)
        reasons.push_back(
            {"Cache Rule",
             "an Edge TTL of a rule, where there is one, overrides all headers; a Browser TTL "
             "rewrites Cache-Control only"});
    if (answer.status == 304)
        reasons.push_back({"304",
                           "renews the lifetime of what is stored; so it needs the same headers "
                           "as the 200"});
    if (answer.status == 206)
        reasons.push_back({"206",
                           "the edge asks for ranges only with Origin Range Requests on; else it "
                           "fetches all and cuts ranges itself"});
}

}  // namespace tidepool::edge
