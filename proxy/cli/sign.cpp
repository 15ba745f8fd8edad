// tidepool sign: a URL that opens a private image.
#include "conf/bytes.h"
#include "proxy/api/sign_api.h"
#include "proxy/cli/command.h"
#include "proxy/cli/load_settings.h"
#include "proxy/cli/output.h"
#include "proxy/cli/workspace.h"

#include <chrono>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

struct SignArguments : CommonOptions {
    std::string url;
    std::string ttl;
    std::string form = "timed";
};

int sign(const SignArguments& arguments) {
    serve::SigningOrder order{.url = arguments.url};
    if (!arguments.ttl.empty()) {
        const auto ttl = conf::parse_duration(arguments.ttl);
        if (!ttl)
            return wrong_use({ErrorKind::invalid, "--ttl: " + ttl.error().text}, arguments.json);
        order.ttl = std::chrono::duration_cast<std::chrono::seconds>(*ttl);
    }
    const auto form = serve::parse_signature_form(arguments.form);
    if (!form)
        return wrong_use({ErrorKind::invalid, "--form: there are timed and absolute"},
                         arguments.json);
    order.form = *form;
    ServeOptions options;
    options.config = arguments.config;
    options.state_dir = arguments.state_dir;
    const auto settings = load_settings(options);
    if (!settings) return 2;
    const auto made = serve::sign_url(settings->private_images, order, now_s());
    if (!made && made.error().kind == ErrorKind::invalid)
        return wrong_use({ErrorKind::invalid, made.error().text}, arguments.json);
    if (!made) return wrong_use(made.error(), arguments.json);
    if (arguments.json) {
        print_json(api::sign_json(*made));
    } else {
        fmt::print("{}\n", made->url);
    }
    return 0;
}

}  // namespace

Command add_sign(CLI::App& program) {
    auto arguments = std::make_shared<SignArguments>();
    CLI::App& parser = *program.add_subcommand("sign", "Sign the URL of a private image");
    parser.add_option("URL", arguments->url, "a URL, or its path alone")->required();
    add_common(parser, *arguments);
    parser
        .add_option("--ttl", arguments->ttl,
                    "how long it holds, such as 10m; default: private.ttl, less what the time is "
                    "rounded by")
        ->type_name("TIME");
    parser
        .add_option("--form", arguments->form,
                    "timed, which a rule of the edge can check, or absolute, which may hold for "
                    "longer")
        ->type_name("FORM");
    return {&parser, [arguments] { return sign(*arguments); }};
}

}  // namespace tidepool::cli
