// tidepool edge rules: what the zone needs, for whoever sets it up.
#include "proxy/cli/edge.h"
#include "proxy/cli/output.h"
#include "proxy/cli/workspace.h"
#include "proxy/cli/zone_setup.h"
#include "proxy/edge/zone_calls.h"
#include "proxy/edge/zone_secrets.h"
#include "proxy/edge/zone_terraform.h"
#include "proxy/edge/zone_text.h"

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace tidepool::cli {

int print_rules(const RulesArguments& arguments) {
    const bool is_json = arguments.format == "json";
    const bool is_terraform = arguments.format == "terraform";
    if (!is_json && !is_terraform && arguments.format != "text")
        return wrong_use({ErrorKind::invalid, "--format: there are text, json and terraform"});
    const auto setup = read_zone_setup(arguments);
    if (!setup) return setup.error();
    const auto rules = rules_of_setup(*setup);
    if (!rules) return rules.error();
    const auto fill = [&](std::string_view name) {
        return arguments.show_secrets ? edge::value_of(rules->secrets, name)
                                      : edge::placeholder_of(rules->secrets, name);
    };
    if (is_terraform) {
        fmt::print("{}", edge::zone_terraform(*rules, setup->zone_id, arguments.show_secrets));
        return 0;
    }
    if (!is_json) {
        fmt::print("{}", edge::zone_text(*rules, fill));
        return 0;
    }
    print_json(edge::zone_calls(*rules, setup->zone_id, fill));
    // For whoever reads, as a program has no use for them.
    for (const std::string& note : rules->notes)
        fmt::print(stderr, "note: {}\n", note);
    return 0;
}

}  // namespace tidepool::cli
