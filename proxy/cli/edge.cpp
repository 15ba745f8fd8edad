// tidepool edge explain | update-ranges | rules | apply | doctor: the edge, seen from here.
#include "proxy/cli/edge.h"

#include "proxy/cli/command.h"

#include <memory>

#include <CLI/CLI.hpp>

namespace tidepool::cli {

namespace {

void add_explain(CLI::App& parser, ExplainArguments& arguments) {
    parser.add_option("URL", arguments.url, "a URL, or its path alone")->required();
    parser.add_option("-c,--config", arguments.config, "configuration file, for --server")
        ->type_name("FILE");
    parser
        .add_option("--server", arguments.server,
                    "who is asked: HOST:PORT or unix:PATH; default: the first of server.listen")
        ->type_name("ADDRESS");
    parser
        .add_option("--header", arguments.headers,
                    "\"Name: value\" that the visitor sends; may be repeated")
        ->type_name("FIELD")
        ->allow_extra_args(false);
    parser
        .add_option("--answer", arguments.answer,
                    "ask nobody: the head of the answer is in this file; - = standard input")
        ->type_name("FILE");
    parser.add_flag("--json", arguments.json, "print JSON, for programs");
}

void add_update_ranges(CLI::App& parser, UpdateRangesArguments& arguments) {
    parser
        .add_option("-c,--config", arguments.config,
                    "configuration file, whose edge.trusted_ranges names the file")
        ->type_name("FILE");
    parser
        .add_option("--from", arguments.sources,
                    "where the ranges are instead of Cloudflare's API: the same JSON, or a range "
                    "per line; may be repeated")
        ->type_name("URL|FILE")
        ->allow_extra_args(false);
    parser
        .add_option("--also", arguments.own,
                    "a range of your own that stands in the file, too, such as that of a proxy in "
                    "between; may be repeated")
        ->type_name("RANGE")
        ->allow_extra_args(false);
    parser.add_option("--to", arguments.to, "the file, instead of that of the configuration")
        ->type_name("FILE");
    parser.add_flag("--dry-run", arguments.is_dry_run, "say what would change, and change nothing");
}

void add_zone(CLI::App& parser, ZoneArguments& arguments) {
    parser.add_option("-c,--config", arguments.config, "configuration file")
        ->type_name("FILE")
        ->required();
    add_state_dir(parser, arguments.state_dir);
    parser
        .add_option("--host", arguments.hosts,
                    "a host of this server, beside those of the configuration; may be repeated")
        ->type_name("NAME")
        ->allow_extra_args(false);
    parser.add_option("--plan", arguments.plan, "of the zone: free, pro, business or enterprise")
        ->type_name("PLAN")
        ->capture_default_str();
    parser.add_option("--zone", arguments.zone, "the zone's id; default: purge.zone_id")
        ->type_name("ID");
}

void add_rules(CLI::App& parser, RulesArguments& arguments) {
    add_zone(parser, arguments);
    parser
        .add_option("--format", arguments.format,
                    "text, to be followed in the dashboard; json, calls of the API; or terraform")
        ->type_name("FORMAT")
        ->capture_default_str();
    parser
        .add_option("--address", arguments.address,
                    "where the edge finds this server: an address or a name, for the DNS record")
        ->type_name("ADDRESS");
    parser.add_flag("--show-secrets", arguments.show_secrets,
                    "print the lock's secret and the signing keys instead of their names");
}

void add_apply(CLI::App& parser, ApplyArguments& arguments) {
    add_zone(parser, arguments);
    parser
        .add_option("--token-file", arguments.token_file,
                    "holds a token of the API that may edit rules; default: purge.api_token")
        ->type_name("FILE");
    parser.add_option("--api-url", arguments.api_url, "of the API; default: purge.api_url")
        ->type_name("URL");
    parser.add_flag("--dry-run", arguments.is_dry_run,
                    "show what would change, and change nothing");
    parser.add_flag("--yes", arguments.yes, "change it without asking");
}

void add_doctor(CLI::App& parser, DoctorArguments& arguments) {
    parser.add_option("URL", arguments.urls,
                      "images that everybody may see; default: one of each host, as the catalog "
                      "and the pools have them");
    parser.add_option("-c,--config", arguments.config, "configuration file")
        ->type_name("FILE")
        ->required();
    add_state_dir(parser, arguments.state_dir);
    parser.add_option("--edge", arguments.edge, "where the edge is, instead of where DNS says")
        ->type_name("ADDRESS:PORT");
    parser
        .add_option("--origin", arguments.origin,
                    "this server as others reach it: HOST:PORT or unix:PATH; default: the first of "
                    "server.listen")
        ->type_name("ADDRESS");
    parser.add_option("--timeout", arguments.timeout, "of each question")
        ->type_name("TIME")
        ->capture_default_str();
    parser.add_flag("--json", arguments.json, "print JSON, for programs");
}

}  // namespace

Command add_edge(CLI::App& program) {
    auto explain = std::make_shared<ExplainArguments>();
    auto update = std::make_shared<UpdateRangesArguments>();
    CLI::App& parser =
        *program.add_subcommand("edge", "What the edge does with answers, and who the edge is");
    parser.require_subcommand(1);
    CLI::App& explaining = *parser.add_subcommand(
        "explain", "Say what edge and browsers do with the answer for a URL, and why");
    add_explain(explaining, *explain);
    CLI::App& updating = *parser.add_subcommand(
        "update-ranges", "Fetch the edge's address ranges into the file of edge.trusted_ranges");
    add_update_ranges(updating, *update);
    auto rules = std::make_shared<RulesArguments>();
    CLI::App& printing = *parser.add_subcommand(
        "rules", "Print what the zone needs: records, settings and rules, for this configuration");
    add_rules(printing, *rules);
    auto apply = std::make_shared<ApplyArguments>();
    CLI::App& applying = *parser.add_subcommand(
        "apply", "Put the rules into the zone by its API, and leave those of others as they are");
    add_apply(applying, *apply);
    auto doctor = std::make_shared<DoctorArguments>();
    CLI::App& examining = *parser.add_subcommand(
        "doctor", "Look at the live set-up from the outside, and say what is to be mended");
    add_doctor(examining, *doctor);
    return {&parser, [=, &explaining, &printing, &applying, &examining] {
                if (explaining.parsed()) return explain_answer(*explain);
                if (printing.parsed()) return print_rules(*rules);
                if (applying.parsed()) return apply_rules(*apply);
                if (examining.parsed()) return examine_edge(*doctor);
                return update_ranges(*update);
            }};
}

}  // namespace tidepool::cli
