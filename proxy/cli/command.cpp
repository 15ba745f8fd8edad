#include "proxy/cli/command.h"

#include <CLI/CLI.hpp>

namespace tidepool::cli {

void add_state_dir(CLI::App& parser, std::string& state_dir) {
    parser
        .add_option("--state-dir", state_dir,
                    "keep the catalog in DIR/catalog.db and the shelf in DIR/shelf")
        ->type_name("DIR");
}

void add_common(CLI::App& parser, CommonOptions& options) {
    parser.add_option("-c,--config", options.config, "configuration file")
        ->type_name("FILE")
        ->required();
    add_state_dir(parser, options.state_dir);
    parser.add_flag("--json", options.json, "print JSON, for programs");
}

}  // namespace tidepool::cli
