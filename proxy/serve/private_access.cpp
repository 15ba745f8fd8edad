#include "proxy/serve/private_access.h"

#include "storage/image_key.h"

#include <algorithm>

#include <fmt/format.h>

namespace tidepool::serve {

PrivateRules::PrivateRules(const conf::PrivateSettings& settings)
    : prefixes_(settings.prefixes),
      signatures_(UrlSignatures::of(settings)),
      edge_checks_(settings.edge_checks) {}

bool PrivateRules::covers(std::string_view key) const {
    if (prefixes_.empty()) return false;
    if (std::ranges::any_of(prefixes_, [key](auto& each) { return key.starts_with(each); }))
        return true;
    const storage::ImageKey parsed = storage::parse_image_key(key);
    if (parsed.role != storage::Role::variant || parsed.day.empty() || !parsed.image) return false;
    const std::string original = fmt::format("{}original/{}/{}.", parsed.prefix, parsed.day,
                                             storage::to_text(*parsed.image));
    return std::ranges::any_of(prefixes_, [&original](const std::string& each) {
        return original.starts_with(each) || each.starts_with(original);
    });
}

SignatureVerdict PrivateRules::judge(const http::RequestHead& head, std::int64_t now_s) const {
    if (signatures_ != nullptr) return signatures_->judge(head.path, head.query, now_s);
    return head.query.empty() ? SignatureVerdict::missing : SignatureVerdict::bad;
}

void PrivateCounters::count(SignatureVerdict verdict) {
    const auto* const found = std::ranges::find(kSignatureRefusals, verdict);
    if (found != kSignatureRefusals.end())
        refused[static_cast<std::size_t>(found - kSignatureRefusals.begin())].add();
}

PrivateRefusal refusal_of(SignatureVerdict verdict) {
    if (verdict == SignatureVerdict::expired) return {410, "the signature has expired"};
    if (verdict == SignatureVerdict::missing) return {403, "a signature is missing"};
    return {403, "the signature is wrong"};
}

}  // namespace tidepool::serve
