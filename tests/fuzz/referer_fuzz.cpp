// Whatever a Referer says, its host is one that a second, slower reading of RFC 3986 finds as well,
// and nothing that could be read as another one.
#include "conf/host_pattern.h"
#include "proxy/serve/referer.h"
#include "tests/fuzz/check.h"

#include <cstddef>
#include <cstdint>
#include <regex>
#include <string>
#include <string_view>

using namespace tidepool;
using fuzz::check;
using serve::read_referer;
using serve::Referer;

namespace {

// Scheme, who is named in front, host, port.
const std::regex kPage(
    "([Hh][Tt][Tt][Pp][Ss]?)://(?:[A-Za-z0-9._~!$&'()*+,;=:%-]*@)?"
    "(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9_.-]+)(:[0-9]{0,5})?");

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view value(reinterpret_cast<const char*>(data), size);
    const Referer referer = read_referer(value);
    check((referer.kind == Referer::Kind::page) == !referer.host.empty());
    if (referer.kind != Referer::Kind::page) return 0;
    // It is a part of the value, and a host that an operator could list.
    check(referer.host.data() >= value.data());
    check(referer.host.data() + referer.host.size() <= value.data() + value.size());
    check(conf::wrong_in_host_pattern(referer.host).empty());
    check(conf::HostPatterns({std::string(referer.host)}).match(referer.host));
    const std::size_t authority = value.find("//") + 2;
    const std::string head(value.substr(0, value.find_first_of("/?#", authority)));
    std::smatch found;
    if (head.size() > 2000) return 0;  // what the library's recursion can take
    check(std::regex_match(head, found, kPage));
    std::string host = found[2].str();
    if (host.ends_with('.')) host.pop_back();
    check(host == referer.host);
    // What comes behind the authority does not matter.
    check(read_referer(head + "/@other.example/?#").host == referer.host);
    return 0;
}
