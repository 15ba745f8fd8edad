// Which images are private, and who may see them (contracts: b2-s3.md 10).
#pragma once

#include "conf/settings.h"
#include "proxy/http/counters.h"
#include "proxy/http/request.h"
#include "proxy/serve/url_signature.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::serve {

// What the configuration says. Immutable; any thread. Pure.
class PrivateRules {
  public:
    PrivateRules() = default;
    explicit PrivateRules(const conf::PrivateSettings& settings);

    // Whether the image of this key is private wherever it is: by its own name, or as a variant by
    // that of its original, whose extension its name does not tell.
    bool covers(std::string_view key) const;
    // Without a key nobody's signature is good.
    SignatureVerdict judge(const http::RequestHead& head, std::int64_t now_s) const;
    // Whether there is a key, without which no image can be made private.
    bool is_in_use() const { return signatures_ != nullptr; }
    // Answers may be kept as those of public images: the edge asks for a signature before its
    // cache.
    bool edge_checks() const { return edge_checks_; }

  private:
    std::vector<std::string> prefixes_;
    std::shared_ptr<const UrlSignatures> signatures_;  // null: there is no key
    bool edge_checks_ = false;
};

// Requests that one loop has refused, by why: kSignatureRefusals.
struct PrivateCounters {
    std::array<http::Counter, kSignatureRefusals.size()> refused;
    void count(SignatureVerdict verdict);
};

// What a request that is not let in is answered; never for a good verdict.
struct PrivateRefusal {
    int status = 403;
    std::string_view text;
};
PrivateRefusal refusal_of(SignatureVerdict verdict);

}  // namespace tidepool::serve
