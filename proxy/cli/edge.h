// The commands of `tidepool edge`; edge.cpp reads their arguments. Each gives the exit status.
#pragma once

#include <string>
#include <vector>

namespace tidepool::cli {

struct ExplainArguments {
    std::string url;
    std::string config;  // "" = the defaults
    std::string server;  // "" = the configuration's first
    std::vector<std::string> headers;
    std::string answer;  // a file, "-" = standard input, "" = ask the server
    bool json = false;
};
int explain_answer(const ExplainArguments& arguments);

struct UpdateRangesArguments {
    std::string config;
    std::vector<std::string> sources;  // none = Cloudflare's API
    std::vector<std::string> own;
    std::string to;  // "" = as the configuration says
    bool is_dry_run = false;
};
int update_ranges(const UpdateRangesArguments& arguments);

// What the rules of a zone are made from.
struct ZoneArguments {
    std::string config;
    std::string state_dir;
    std::vector<std::string> hosts;  // beside those of the configuration
    std::string address;             // of this server; "" = it is not known
    std::string plan = "free";
    std::string zone;  // "" = purge.zone_id
};

struct RulesArguments : ZoneArguments {
    std::string format = "text";
    bool show_secrets = false;
};
int print_rules(const RulesArguments& arguments);

struct ApplyArguments : ZoneArguments {
    std::string token_file;  // "" = purge.api_token
    std::string api_url;     // "" = purge.api_url
    bool is_dry_run = false;
    bool yes = false;
};
int apply_rules(const ApplyArguments& arguments);

struct DoctorArguments {
    std::string config;
    std::string state_dir;
    std::vector<std::string> urls;  // none = what is found by itself
    std::string edge;               // HOST:PORT to connect to; "" = as the URLs say
    std::string origin;             // HOST:PORT or unix:PATH; "" = the first of server.listen
    std::string timeout = "20s";    // of a question
    bool json = false;
};
int examine_edge(const DoctorArguments& arguments);

}  // namespace tidepool::cli
