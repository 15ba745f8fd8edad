#include "proxy/edge/warnings.h"

#include "conf/ascii.h"
#include "proxy/edge/directive_list.h"
#include "proxy/edge/eligibility.h"
#include "proxy/edge/side_facts.h"
#include "proxy/edge/words.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace tidepool::edge {

namespace {

constexpr std::int64_t kShortAbsenceSeconds = 300;  // a definite 404 may be kept so long
// Parameters of a query that prove something, or say until when.
constexpr std::array<std::string_view, 14> kProofs{
    "signature",       "sig",          "sign", "token",  "hmac", "mac",
    "verify",          "expires",      "exp",  "expiry", "hash", "authorization",
    "x-amz-signature", "x-amz-expires"};
// Types of the extensions that images have; a longer list would know more than it must.
constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kTypes{
    {{"jpg", "image/jpeg"},
     {"jpeg", "image/jpeg"},
     {"png", "image/png"},
     {"gif", "image/gif"},
     {"webp", "image/webp"},
     {"avif", "image/avif"},
     {"bmp", "image/bmp"},
     {"svg", "image/svg+xml"},
     {"tif", "image/tiff"},
     {"tiff", "image/tiff"},
     {"pdf", "application/pdf"}}};

bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Calls `take` with the name of each parameter of a query, in lower case, until it gives true.
template <class Take>
bool any_parameter(std::string_view query, Take take) {
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        const std::string_view one = query.substr(0, end);
        if (take(conf::lower_case(one.substr(0, one.find('='))))) return true;
        query.remove_prefix(std::min(end + 1, query.size()));
    }
    return false;
}

// One look at an answer; each member looks for one kind of mistake.
class Critic {
  public:
    Critic(const Question& question, const Answer& answer, const EdgePlan& edge,
           const BrowserPlan& browser)
        : question_(question), answer_(answer), edge_(edge), browser_(browser) {}

    std::vector<Warning> look();

  private:
    void warn(std::string code, std::string text) {
        warnings_.push_back({std::move(code), std::move(text)});
    }
    bool has(std::string_view name) const { return answer_.fields.has(name); }
    // Stored, and used without asking.
    bool is_kept() const { return edge_.stores && !edge_.revalidates_always; }
    std::string ttl_words() const { return duration_words(edge_.ttl_s.value_or(0)); }

    void look_at_name();
    void look_at_lifetime();
    void look_at_status();
    void look_at_directives();
    void look_at_vary();
    void look_at_body();
    void look_at_validators();
    void look_at_type();
    void look_at_access();
    void look_at_browser();

    const Question& question_;
    const Answer& answer_;
    const EdgePlan& edge_;
    const BrowserPlan& browser_;
    std::vector<Warning> warnings_{};
};

void Critic::look_at_name() {
    const std::string extension = extension_of(question_.path());
    if (is_unlisted_image(extension))
        warn("rule_needed",
             fmt::format("every request for .{} reaches the origin until a Cache Rule "
                         "makes it eligible",
                         extension));
}

void Critic::look_at_lifetime() {
    const bool is_told = std::ranges::any_of(
        kControlHeaders, [this](const ControlHeader& control) { return has(control.name); });
    if (is_told || has("expires") || !edge_.is_eligible) return;
    const int status = answer_.status;
    if (edge_.stores) {
        const char* why =
            status == 404 || status == 410
                ? "; what appears meanwhile, as a variant that was not made yet, stays "
                  "away for so long: send no-store or a max-age"
            : is_redirect(status) ? "; where its target expires, it must be no-store"
                                  : ", which is the edge's idea and not yours";
        warn("missing_cache_control",
             fmt::format("a {} without Cache-Control is kept for {}{}", status, ttl_words(), why));
    } else if (status >= 400) {
        warn("missing_cache_control",
             fmt::format("a {} without Cache-Control is left to everybody's guess: send no-store",
                         status));
    }
}

void Critic::look_at_status() {
    const int status = answer_.status;
    if (!is_kept()) return;
    const bool is_passing =
        status >= 500 || status == 401 || status == 403 || status == 409 || status == 429;
    if (is_passing) {
        warn("error_stored", fmt::format("a {} is kept for {}, also after it was put right: send "
                                         "no-store",
                                         status, ttl_words()));
    } else if ((status == 404 || status == 410) && edge_.ttl_s.value_or(0) > kShortAbsenceSeconds) {
        warn("absence_stored",
             fmt::format("a {} is kept for {}: what is put there meanwhile is not seen", status,
                         ttl_words()));
    } else if (is_redirect(status)) {
        warn("redirect_stored",
             fmt::format(
                 "for {} everybody is sent to the same Location, also where that has expired "
                 "or moved by then",
                 ttl_words()));
    }
}

void Critic::look_at_directives() {
    for (const auto& [name, title] : kControlHeaders) {
        const DirectiveList control = DirectiveList::parse(answer_.fields.value(name));
        for (const std::string& directive : control.unreadable())
            warn("unreadable_directive",
                 fmt::format("{}: {} has no number of seconds, so it says nothing", title,
                             directive));
        const bool wants_stale = control.seconds("stale-while-revalidate").value_or(0) > 0 ||
                                 control.seconds("stale-if-error").value_or(0) > 0;
        for (const std::string_view ban : kNoStale) {
            if (wants_stale && control.has(ban))
                warn("stale_void",
                     fmt::format("{}: beside {} the stale-* directives are void; give "
                                 "the edge max-age in Cloudflare-CDN-Cache-Control",
                                 title, ban));
        }
    }
    if (has("set-cookie"))
        warn("set_cookie", "Set-Cookie keeps images out of every cache: do not send it");
    if (has("link")) warn("link", "Link has no use on images: Early Hints are for pages");
}

void Critic::look_at_vary() {
    for (const std::string& name : members_of(answer_.fields.value("vary"))) {
        if (name == "accept-encoding") continue;
        if (name == "*") {
            warn("vary_star", "Vary: * keeps the answer out of the edge's cache");
        } else {
            warn("vary_ignored",
                 fmt::format("Vary: {} is not looked at: the first answer stored is given to "
                             "everybody; use one URL for each",
                             name));
        }
    }
}

void Critic::look_at_body() {
    const bool has_body = answer_.status == 200 || answer_.status == 206;
    if (has_body && !has("content-length"))
        warn("missing_content_length",
             "without Content-Length a body that was cut can look whole; Cache Reserve and ranges "
             "of "
             "the origin need it, too");
    if (answer_.status != 206) return;
    const std::string range = answer_.fields.value("content-range");
    if (!range.starts_with("bytes ") || range.find('/') == range.npos || range.ends_with("/*"))
        warn("bad_content_range", "a 206 needs Content-Range with first, last and whole size");
}

void Critic::look_at_validators() {
    if (answer_.status != 200 && answer_.status != 206) return;
    switch (tag_kind(answer_)) {
        case TagKind::none:
            return warn("missing_etag",
                        "without an ETag a stored copy cannot be renewed by a 304 that "
                        "is about its content");
        case TagKind::unquoted:
            return warn("unquoted_etag", "the ETag is not in double quotes and is taken away");
        case TagKind::weak:
            return warn("weak_etag", "a weak ETag does not let broken downloads go on (If-Range)");
        case TagKind::strong:
            return;
    }
}

// Cache Deception Armor, where it is on, stores nothing whose type is not that of its name (3.8).
void Critic::look_at_type() {
    const std::string extension = extension_of(question_.path());
    const std::string whole = conf::lower_case(answer_.fields.value("content-type"));
    const std::string type(conf::trim(std::string_view(whole).substr(0, whole.find(';'))));
    const auto* known =
        std::ranges::find(kTypes, extension, [](const auto& each) { return each.first; });
    if (answer_.status != 200 || type.empty() || known == kTypes.end() || known->second == type)
        return;
    const bool is_tolerated =
        type == "application/octet-stream" || (extension == "jpg" && type == "image/webp");
    if (!is_tolerated)
        warn("type_mismatch",
             fmt::format(".{} with Content-Type {}: Cache Deception Armor does not "
                         "store it",
                         extension, type));
}

void Critic::look_at_access() {
    if (!is_kept()) return;
    const bool is_signed = any_parameter(question_.query(), [](const std::string& name) {
        return std::ranges::find(kProofs, name) != kProofs.end();
    });
    if (is_signed)
        warn("signature_not_checked",
             "on a hit nobody checks the signature: the URL works for as long as the copy is kept, "
             "also after it has expired; check at the edge (WAF, Worker) or send no-store");
    if (question_.fields.has("authorization"))
        warn("authorization_not_checked",
             "on a hit nobody checks Authorization: everybody gets the copy");
}

void Critic::look_at_browser() {
    const std::int64_t browser_ttl_s = browser_.ttl_s.value_or(0);
    if (is_kept() && browser_ttl_s > 0 && browser_ttl_s < edge_.ttl_s.value_or(0))
        warn(
            "age_beyond_browser",
            fmt::format("browsers count the copy's Age against their {}: one that the edge has had "
                        "for longer is stale to them at once (RFC 9111, 4.2)",
                        duration_words(browser_ttl_s)));
}

std::vector<Warning> Critic::look() {
    look_at_name();
    look_at_lifetime();
    look_at_status();
    look_at_directives();
    look_at_vary();
    look_at_body();
    look_at_validators();
    look_at_type();
    look_at_access();
    look_at_browser();
    return std::move(warnings_);
}

}  // namespace

std::vector<Warning> find_warnings(const Question& question, const Answer& answer,
                                   const EdgePlan& edge, const BrowserPlan& browser) {
    return Critic(question, answer, edge, browser).look();
}

}  // namespace tidepool::edge
