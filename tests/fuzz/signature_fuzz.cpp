// Nobody opens a private image but who has a key, whatever they send; and what was signed is
// opened, however much stands in its query before.
#include "conf/hex_digit.h"
#include "conf/url_path.h"
#include "proxy/serve/url_signature.h"
#include "tests/fuzz/check.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

using namespace tidepool;
using tidepool::fuzz::check;

namespace {

constexpr std::int64_t kNow = 1'767'225'600;

conf::PrivateSettings settings() {
    conf::PrivateSettings made;
    made.signing_key = conf::Secret("env:KEY", "a key that nobody guesses");
    made.signing_key_previous = conf::Secret("env:OLD", "the key that was before");
    return made;
}

serve::SignatureVerdict judge(const serve::UrlSignatures& signatures, std::string_view url,
                              std::int64_t now) {
    const std::string_view path = url.substr(0, url.find('?'));
    return signatures.judge(path, url.substr(std::min(path.size() + 1, url.size())), now);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using Verdict = serve::SignatureVerdict;
    static const conf::PrivateSettings rules = settings();
    static const auto signatures = serve::UrlSignatures::of(rules);
    const std::string text(reinterpret_cast<const char*>(data), size);
    // As it comes.
    for (const std::string& url : {text, "/uploads/a.jpg?" + text, "/uploads/a.jpg?verify=" + text,
                                   "/uploads/a.jpg?exp=1767225700&sig=" + text}) {
        const Verdict verdict = judge(*signatures, url, kNow);
        check(verdict == Verdict::missing || verdict == Verdict::bad);
    }
    // Normalising what is normal changes nothing.
    if (const auto normal = conf::normalised_path(text))
        check(conf::normalised_path(*normal) == *normal);
    // As what somebody has us sign.
    for (const auto form : {serve::SignatureForm::timed, serve::SignatureForm::absolute}) {
        const auto made = serve::sign_url(rules, {"/" + text, std::nullopt, form}, kNow);
        if (!made) continue;
        for (const char c : made->url)
            check(c > ' ' && c <= '~');
        check(judge(*signatures, made->url, kNow) == Verdict::good);
        check(judge(*signatures, made->url, made->expires_s - 1) == Verdict::good);
        check(judge(*signatures, made->url, made->expires_s) == Verdict::expired);
        const Verdict longer = judge(*signatures, made->url + "0", kNow);
        check(longer == Verdict::bad || longer == Verdict::missing);
        check(judge(*signatures, "/b" + made->url, kNow) == Verdict::bad);
    }
    return 0;
}
