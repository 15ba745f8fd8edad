#include "proxy/api/routes.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace tidepool::api {

namespace {

constexpr std::array kRoutes{
    Route{"/openapi.json", "GET, HEAD"},
    Route{"/pools", "GET, HEAD, POST"},
    Route{"/pools/{name}", "GET, HEAD, PATCH, DELETE"},
    Route{"/images", "GET, HEAD"},
    Route{"/images/{uuid}", "GET, HEAD, PATCH, DELETE"},
    Route{"/images/{uuid}/move", "POST"},
    Route{"/jobs", "GET, HEAD"},
    Route{"/jobs/{id}", "GET, HEAD"},
    Route{"/jobs/{id}/cancel", "POST"},
    Route{"/jobs/{id}/pause", "POST"},
    Route{"/jobs/{id}/resume", "POST"},
    Route{"/jobs/{id}/retry", "POST"},
    Route{"/stats", "GET, HEAD"},
    Route{"/keys", "GET, HEAD, POST"},
    Route{"/keys/{id}", "DELETE"},
    Route{"/tiering/plan", "GET, HEAD"},
    Route{"/tiering/run", "POST"},
    Route{"/reconcile", "POST"},
    Route{"/purges", "POST"},
    Route{"/settings", "GET, HEAD, PATCH"},
    Route{"/sign", "POST"},
};

// Takes the first segment off, with the slash before it.
std::string_view take_segment(std::string_view& path) {
    const std::string_view segment = path.substr(0, path.find('/', 1));
    path.remove_prefix(segment.size());
    return segment;
}

bool is_path_of(std::string_view pattern, std::string_view path) {
    while (!pattern.empty() && !path.empty()) {
        const std::string_view wanted = take_segment(pattern);
        const std::string_view given = take_segment(path);
        if (wanted.starts_with("/{") ? given.size() < 2 : wanted != given) return false;
    }
    return pattern.empty() && path.empty();
}

}  // namespace

std::span<const Route> routes() {
    return kRoutes;
}

const Route* find_route(std::string_view path) {
    if (!path.starts_with(kApiRoot)) return nullptr;
    path.remove_prefix(kApiRoot.size());
    const auto found = std::ranges::find_if(
        kRoutes, [path](const Route& route) { return is_path_of(route.path, path); });
    return found == kRoutes.end() ? nullptr : &*found;
}

bool has_method(const Route& route, std::string_view method) {
    std::string_view rest = route.methods;
    while (!rest.empty()) {
        const std::string_view one = rest.substr(0, rest.find(", "));
        if (one == method) return true;
        rest.remove_prefix(std::min(one.size() + 2, rest.size()));
    }
    return false;
}

std::string route_names() {
    std::string names;
    for (const Route& route : kRoutes) {
        if (route.path.find('{') != route.path.npos) continue;
        names += fmt::format("{}{}{}", names.empty() ? "" : ", ", kApiRoot, route.path);
    }
    return names;
}

}  // namespace tidepool::api
