#include "proxy/edge/cacheability.h"

#include "conf/ascii.h"
#include "proxy/edge/directive_list.h"
#include "proxy/edge/eligibility.h"
#include "proxy/edge/words.h"
#include "proxy/http/date.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/format.h>

namespace tidepool::edge {

namespace {

// Of Free, Pro and Business; 5 GB on Enterprise (3.1).
constexpr std::uint64_t kMostBytes = 512ULL * 1024 * 1024;

// 3.2; a 304 without a lifetime of its own has that of 200.
std::optional<std::int64_t> default_ttl_s(int status) {
    switch (status) {
        case 200:
        case 206:
        case 301:
        case 304:
            return 7200;
        case 302:
        case 303:
            return 1200;
        case 404:
        case 410:
            return 180;
        default:
            return {};
    }
}

std::uint64_t number_in(std::string_view text) {
    std::uint64_t number = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && stop == text.data() + text.size() ? number : 0;
}

// Of the whole object, also where the answer is a range of it (3.1); 0 where it is not said.
std::uint64_t whole_size(const Answer& answer) {
    if (answer.status != 206) return number_in(answer.fields.value("content-length"));
    const std::string range = answer.fields.value("content-range");
    return number_in(std::string_view(range).substr(range.find('/') + 1));
}

// One judgement, step by step; each step says why.
class EdgeJudge {
  public:
    EdgeJudge(const Question& question, const Answer& answer, std::int64_t now_s, Reasons& reasons)
        : question_(question), answer_(answer), now_s_(now_s), reasons_(reasons) {}

    EdgePlan judge();

  private:
    void say(std::string_view source, std::string text) {
        reasons_.push_back({std::string(source), std::move(text)});
    }
    void look_at_name();
    void find_speaker();
    void find_lifetime();
    void find_revalidation();
    void look_for_bans();
    void look_at_request();
    void find_stale();
    void say_stale(std::string_view name, std::int64_t seconds, std::string_view what);
    void say_other_directives();
    void forbid(std::string_view source, std::string text);
    void settle();
    void leave_to_a_rule();

    const Question& question_;
    const Answer& answer_;
    const std::int64_t now_s_;
    Reasons& reasons_;
    EdgePlan plan_{};
    ControlHeader speaker_{};  // whose lifetime counts; empty where there is none
    DirectiveList control_{};
    bool is_forbidden_ = false;
};

void EdgeJudge::look_at_name() {
    const std::string extension = extension_of(question_.path());
    plan_.is_eligible = is_default_extension(extension);
    if (plan_.is_eligible) {
        say("extension", fmt::format(".{} is on the edge's default list; the type of the content "
                                     "does not matter",
                                     extension));
    } else if (extension.empty()) {
        say("extension", "the path has no extension, so the edge does not look at its cache");
    } else if (is_unlisted_image(extension)) {
        say("extension", fmt::format(".{} is an image and yet not on the edge's default list: it "
                                     "needs a Cache Rule \"eligible for cache\"",
                                     extension));
    } else {
        say("extension",
            fmt::format(".{} is not on the edge's default list{}", extension,
                        extension == "html" || extension == "htm" || extension == "json"
                            ? ": HTML and JSON are never stored without a Cache Rule"
                            : "; a Cache Rule \"eligible for cache\" would put it there"));
    }
}

void EdgeJudge::find_speaker() {
    for (const ControlHeader& speaker : kControlHeaders) {
        if (!answer_.fields.has(speaker.name)) continue;
        const std::string value = answer_.fields.value(speaker.name);
        const bool is_targeted = speaker.name != "cache-control";
        if (!is_targeted && answer_.fields.has("surrogate-control")) {
            say("Surrogate-Control",
                "is there, if only empty, and makes the edge ignore Cache-Control");
            continue;
        }
        if (is_targeted && conf::trim(value).empty()) {  // RFC 9213, 2.2
            say(speaker.title, "is empty, so it says nothing and the next one counts");
            continue;
        }
        if (!speaker_.name.empty()) {
            say(speaker.title,
                fmt::format("is not looked at by the edge, as {} goes before it", speaker_.title));
            continue;
        }
        speaker_ = speaker;
        control_ = DirectiveList::parse(value);
        say(speaker.title, fmt::format("\"{}\" decides for the edge", value));
    }
}

void EdgeJudge::find_lifetime() {
    for (const std::string_view name : {"s-maxage", "max-age"}) {
        const auto seconds = control_.seconds(name);
        if (!seconds) continue;
        plan_.ttl_s = seconds;
        plan_.ttl_source = speaker_.title;
        return say(speaker_.title, fmt::format("{}={} is a lifetime of {}", name, *seconds,
                                               duration_words(*seconds)));
    }
    // A header for CDNs replaces Cache-Control and Expires, whatever it says (RFC 9213, 2.2).
    const bool is_targeted = !speaker_.name.empty() && speaker_.name != "cache-control";
    const auto expires = is_targeted ? std::nullopt : expires_in(answer_, now_s_);
    if (expires) {
        plan_.ttl_s = expires;
        plan_.ttl_source = "Expires";
        return say("Expires", *expires > 0 ? "is in " + duration_words(*expires)
                                           : "has passed, or is no date");
    }
    plan_.ttl_s = default_ttl_s(answer_.status);
    if (plan_.ttl_s) {
        plan_.ttl_source = "default";
        say("default", fmt::format("no header gives a lifetime; that of a {} is {}", answer_.status,
                                   duration_words(*plan_.ttl_s)));
    } else if (!control_.is_bare("no-cache")) {
        say("default",
            fmt::format("no header gives a lifetime, and a {} has none by itself", answer_.status));
    }
}

void EdgeJudge::find_revalidation() {
    if (control_.is_bare("no-cache")) {
        plan_.revalidates_always = true;
        say(speaker_.title,
            "no-cache has the edge ask again before each use; it logs that as BYPASS");
    }
    for (const std::string& name : control_.fields_of("no-cache")) {
        const bool is_there = answer_.fields.has(name);
        plan_.revalidates_always |= is_there;
        say(speaker_.title, fmt::format("no-cache=\"{}\" {}", name,
                                        is_there ? "is there: the edge asks again before each use"
                                                 : "is about a header that is not there"));
    }
    if (plan_.ttl_s == 0) {
        plan_.revalidates_always = true;
        say(plan_.ttl_source, "a lifetime of 0 is stored, and asked about again at each request");
    }
}

void EdgeJudge::forbid(std::string_view source, std::string text) {
    is_forbidden_ = true;
    say(source, std::move(text));
}

void EdgeJudge::look_for_bans() {
    for (const std::string_view name : {"no-store", "private"}) {
        if (control_.is_bare(name))
            forbid(speaker_.title, fmt::format("{} forbids to store it", name));
    }
    for (const std::string& name : control_.fields_of("private"))
        say(speaker_.title, fmt::format("private=\"{}\": stored without that header", name));
    if (answer_.fields.has("set-cookie"))
        forbid("Set-Cookie",
               "keeps the answer out of the cache, also under a rule \"eligible for cache\"; an "
               "Edge TTL rule stores it, without the cookie");
    const std::string vary = answer_.fields.value("vary");
    const auto members = members_of(vary);
    if (std::ranges::find(members, "*") != members.end()) {
        forbid("Vary", "* bypasses the cache");
    } else if (!vary.empty() && conf::lower_case(conf::trim(vary)) != "accept-encoding") {
        say("Vary",
            fmt::format("\"{}\": the edge looks at Accept-Encoding only, so whatever came first "
                        "is given to everybody, unless Vary for Images or a Cache Rule says "
                        "otherwise",
                        vary));
    }
    if (whole_size(answer_) > kMostBytes)
        forbid("size", "more than 512 MB are not stored (5 GB on Enterprise)");
}

void EdgeJudge::look_at_request() {
    if (!question_.fields.has("authorization")) return;
    for (const std::string_view name : {"public", "must-revalidate", "s-maxage"}) {
        if (control_.has(name))
            return say("Authorization", fmt::format("was sent, and {} allows to store the answer "
                                                    "for everybody all the same",
                                                    name));
    }
    forbid("Authorization",
           "was sent, so without public, must-revalidate or s-maxage the answer is not stored");
}

void EdgeJudge::say_stale(std::string_view name, std::int64_t seconds, std::string_view what) {
    say(speaker_.title, fmt::format("{}={}: {} for {} beyond its lifetime", name, seconds, what,
                                    duration_words(seconds)));
}

void EdgeJudge::find_stale() {
    const auto while_asking = control_.seconds("stale-while-revalidate");
    const auto on_error = control_.seconds("stale-if-error");
    const auto* ban = std::ranges::find_if(
        kNoStale, [this](std::string_view name) { return control_.has(name); });
    if (ban != kNoStale.end()) {
        if (*ban != "no-store")
            say(speaker_.title, fmt::format("{} switches stale answers off{}", *ban,
                                            while_asking || on_error
                                                ? ": stale-while-revalidate and stale-if-error "
                                                  "beside it are void"
                                                : ""));
        return;
    }
    plan_.stale_while_revalidate_s = while_asking.value_or(0);
    plan_.stale_if_error_s = on_error.value_or(0);
    if (while_asking && *while_asking > 0)
        say_stale("stale-while-revalidate", *while_asking,
                  "the old copy, from the first request on, while one is asked for in the "
                  "background,");
    if (on_error && *on_error > 0)
        say_stale("stale-if-error", *on_error, "the old copy where the origin fails,");
    if (on_error && *on_error == 0) say(speaker_.title, "stale-if-error=0 forbids stale on errors");
    if (plan_.stale_while_revalidate_s > 0 || plan_.stale_if_error_s > 0)
        say("zone setting", "with Always Online on, both stale-* directives are ignored");
}

void EdgeJudge::say_other_directives() {
    if (control_.has("no-transform"))
        say(speaker_.title, "no-transform: no Polish, no compressing again");
    if (control_.has("immutable"))
        say(speaker_.title, "immutable is for browsers, not for the edge");
}

void EdgeJudge::settle() {
    plan_.stores = !is_forbidden_ && (plan_.ttl_s || plan_.revalidates_always);
    plan_.cache_status = is_forbidden_ || control_.is_bare("no-cache") ? "BYPASS" : "MISS";
    if (plan_.stores) {
        if (plan_.revalidates_always) plan_.ttl_s = 0;
        if (plan_.ttl_source.empty()) plan_.ttl_source = speaker_.title;
        return;
    }
    plan_.ttl_s.reset();
    plan_.ttl_source.clear();
    plan_.revalidates_always = false;
    plan_.stale_while_revalidate_s = plan_.stale_if_error_s = 0;
}

// What was found holds only where a rule makes the path eligible.
void EdgeJudge::leave_to_a_rule() {
    say("Cache Rule",
        fmt::format("with one that makes this path \"eligible for cache\" and respects "
                    "the origin: {}",
                    edge_words(plan_)));
    plan_ = {};
    plan_.cache_status = "DYNAMIC";
}

EdgePlan EdgeJudge::judge() {
    look_at_name();
    const bool is_eligible = plan_.is_eligible;
    find_speaker();
    find_lifetime();
    find_revalidation();
    look_for_bans();
    look_at_request();
    find_stale();
    say_other_directives();
    settle();
    if (!is_eligible) leave_to_a_rule();
    return std::move(plan_);
}

// Heuristically cacheable (RFC 9110, 15.1), as far as an origin of images sends it.
bool may_guess(int status) {
    constexpr std::array kStatuses{200, 203, 204, 206, 300, 301, 304, 308, 404, 405, 410, 414, 501};
    return std::ranges::find(kStatuses, status) != kStatuses.end();
}

}  // namespace

std::optional<std::int64_t> expires_in(const Answer& answer, std::int64_t now_s) {
    if (!answer.fields.has("expires")) return {};
    const auto expires = http::parse_date(answer.fields.value("expires"), now_s);
    if (!expires) return 0;  // RFC 9111, 5.3: "0" and the like are in the past
    const auto date = http::parse_date(answer.fields.value("date"), now_s);
    return std::max<std::int64_t>(0, *expires - date.value_or(now_s));
}

EdgePlan judge_edge(const Question& question, const Answer& answer, std::int64_t now_s,
                    Reasons& reasons) {
    return EdgeJudge(question, answer, now_s, reasons).judge();
}

BrowserPlan judge_browser(const Answer& answer, std::int64_t now_s, Reasons& reasons) {
    const auto say = [&reasons](std::string source, std::string text) {
        reasons.push_back({std::move(source), "browsers: " + std::move(text)});
    };
    const std::string value = answer.fields.value("cache-control");
    const DirectiveList control = DirectiveList::parse(value);
    if (control.has("no-store")) {
        say("Cache-Control", "no-store keeps nothing");
        return {};
    }
    BrowserPlan plan{.stores = true, .ttl_s = control.seconds("max-age")};
    plan.stale_while_revalidate_s = control.has("no-cache") || control.has("must-revalidate")
                                        ? 0
                                        : control.seconds("stale-while-revalidate").value_or(0);
    const auto expires = expires_in(answer, now_s);
    if (plan.ttl_s) {
        say("Cache-Control",
            fmt::format("max-age={} is {}", *plan.ttl_s, duration_words(*plan.ttl_s)));
    } else if (expires) {
        plan.ttl_s = expires;
        say("Expires",
            *expires > 0 ? "is in " + duration_words(*expires) : "has passed, or is no date");
    } else if (!control.has("no-cache")) {
        plan.stores = may_guess(answer.status);
        say("default", plan.stores
                           ? "without a lifetime they guess one"
                           : fmt::format("a {} without a lifetime is not kept", answer.status));
    }
    plan.revalidates_always = plan.stores && (control.has("no-cache") || plan.ttl_s == 0);
    if (control.has("no-cache")) say("Cache-Control", "no-cache has them ask before each use");
    if (plan.revalidates_always) plan.ttl_s = 0;
    plan.is_immutable = plan.ttl_s.value_or(0) > 0 && control.has("immutable");
    if (plan.is_immutable) say("Cache-Control", "immutable: they do not ask on a reload either");
    return plan;
}

}  // namespace tidepool::edge
