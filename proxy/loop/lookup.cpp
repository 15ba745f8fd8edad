#include "proxy/loop/lookup.h"

#include <array>
#include <cstring>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>

namespace tidepool::loop {

namespace {

std::vector<SocketAddress> addresses_of(const addrinfo* list) {
    std::vector<SocketAddress> found;
    for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
        if (each->ai_addrlen > sizeof(sockaddr_storage)) continue;
        SocketAddress address;
        std::memcpy(&address.storage, each->ai_addr, each->ai_addrlen);
        address.length = each->ai_addrlen;
        found.push_back(address);
    }
    return found;
}

addrinfo hints(int flags) {
    addrinfo wanted{};
    wanted.ai_family = AF_UNSPEC;
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = AI_NUMERICSERV | flags;
    return wanted;
}

}  // namespace

std::string SocketAddress::text() const {
    std::array<char, INET6_ADDRSTRLEN> name{};
    if (storage.ss_family == AF_INET6) {
        sockaddr_in6 address{};
        std::memcpy(&address, &storage, sizeof address);
        inet_ntop(AF_INET6, &address.sin6_addr, name.data(), name.size());
        return fmt::format("[{}]:{}", name.data(), ntohs(address.sin6_port));
    }
    sockaddr_in address{};
    std::memcpy(&address, &storage, sizeof address);
    inet_ntop(AF_INET, &address.sin_addr, name.data(), name.size());
    return fmt::format("{}:{}", name.data(), ntohs(address.sin_port));
}

struct Lookup::Request {
    uv_getaddrinfo_t uv{};
    Lookup* lookup = nullptr;  // null: nobody waits for it any more
};

Lookup::Lookup(Loop& loop, const std::string& host, std::uint16_t port, Callback told, void* owner)
    : host_(host), told_(told), owner_(owner) {
    const std::string service = std::to_string(port);
    const addrinfo numeric = hints(AI_NUMERICHOST);
    addrinfo* list = nullptr;
    if (getaddrinfo(host.c_str(), service.c_str(), &numeric, &list) == 0) {
        answer_ = addresses_of(list);
        freeaddrinfo(list);
        return;
    }
    request_ = new Request;
    request_->lookup = this;
    request_->uv.data = request_;
    // Only addresses of families that this machine has: others cannot be connected to.
    const addrinfo named = hints(AI_ADDRCONFIG);
    const int status = uv_getaddrinfo(
        &loop.uv(), &request_->uv,
        [](uv_getaddrinfo_t* uv, int status, addrinfo* found) {
            auto* request = static_cast<Request*>(uv->data);
            Lookup* lookup = request->lookup;
            delete request;
            std::vector<SocketAddress> addresses;
            if (status == 0) addresses = addresses_of(found);
            uv_freeaddrinfo(found);
            if (lookup == nullptr) return;
            lookup->request_ = nullptr;
            lookup->finish(status, std::move(addresses));
            lookup->told_(lookup->owner_);
        },
        host.c_str(), service.c_str(), &named);
    if (status == 0) return;
    delete std::exchange(request_, nullptr);
    finish(status, {});
}

Lookup::~Lookup() {
    if (request_ == nullptr) return;
    request_->lookup = nullptr;
    // Where a thread has it already, that goes on and is not listened to.
    uv_cancel(reinterpret_cast<uv_req_t*>(&request_->uv));
}

void Lookup::finish(int status, std::vector<SocketAddress> found) {
    if (found.empty()) {
        answer_ =
            fail(ErrorKind::io, fmt::format("the name {} was not found: {}", host_,
                                            status == 0 ? "no address" : uv_strerror(status)));
    } else {
        answer_ = std::move(found);
    }
}

}  // namespace tidepool::loop
