#include "proxy/serve/edge.h"

#include <optional>

namespace tidepool::serve {

namespace {

bool is_forwarded_for(std::string_view name) {
    static constexpr std::string_view kName = "x-forwarded-for";
    if (name.size() != kName.size()) return false;
    for (std::size_t i = 0; i < name.size(); ++i) {
        const char c =
            name[i] >= 'A' && name[i] <= 'Z' ? static_cast<char>(name[i] | 0x20) : name[i];
        if (c != kName[i]) return false;
    }
    return true;
}

std::optional<conf::IpAddress> last_forwarded(const http::RequestHead& head) {
    std::string_view last;
    for (const http::Field& field : head.fields) {
        if (is_forwarded_for(field.name)) last = field.value;
    }
    last = last.substr(last.rfind(',') + 1);  // npos + 1 is 0: the only one
    const std::size_t start = last.find_first_not_of(" \t");
    return start == std::string_view::npos ? std::nullopt
                                           : conf::IpAddress::parse(last.substr(start));
}

}  // namespace

std::optional<conf::IpAddress> named_client(const http::RequestHead& head, const http::Peer& peer,
                                            std::string_view header) {
    if (!peer.is_believed()) return std::nullopt;
    if (const auto address = conf::IpAddress::parse(head.single(header))) return address;
    return last_forwarded(head);
}

conf::IpAddress client_address(const http::RequestHead& head, const http::Peer& peer,
                               std::string_view header) {
    return named_client(head, peer, header).value_or(peer.address);
}

}  // namespace tidepool::serve
