#include "proxy/api/sign_api.h"

#include "conf/bytes.h"
#include "proxy/api/body_fields.h"

#include <chrono>
#include <ctime>
#include <optional>
#include <string>
#include <utility>

namespace tidepool::api {

Json sign_json(const serve::SignedUrl& made) {
    return {{"url", made.url}, {"form", name_of(made.form)}, {"expires", made.expires_s}};
}

ApiAnswer answer_sign(const conf::PrivateSettings& settings, const ApiCall& call) {
    auto fields = BodyFields::parse(call.body);
    if (!fields) return std::move(fields.error());
    const auto url = fields->text("url");
    const auto path = fields->text("path");
    const auto ttl = fields->text("ttl");
    const auto form = fields->text("form");
    if (url.has_value() == path.has_value()) fields->complain("url", "expected it or path");
    serve::SigningOrder order{.url = url ? *url : path.value_or("")};
    if (path && !path->starts_with('/'))
        fields->complain("path", "expected a path that begins with \"/\"");
    if (ttl) {
        const auto time = conf::parse_duration(*ttl);
        if (!time) fields->complain("ttl", time.error().text);
        if (time) order.ttl = std::chrono::duration_cast<std::chrono::seconds>(*time);
    }
    if (form) {
        const auto known = serve::parse_signature_form(*form);
        if (!known) fields->complain("form", "there are timed and absolute");
        order.form = known.value_or(order.form);
    }
    if (auto wrong = fields->problems()) return std::move(*wrong);

    const auto made = serve::sign_url(settings, order, std::time(nullptr));
    if (!made && made.error().kind == ErrorKind::misconfigured)
        return api_error(409, "conflict", made.error().text);
    if (!made) return api_error(422, "invalid_fields", made.error().text);
    return {.status = 200, .body = text_of(sign_json(*made)), .fields = {}};
}

}  // namespace tidepool::api
