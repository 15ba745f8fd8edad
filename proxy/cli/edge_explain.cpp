#include "conf/descriptor.h"
#include "conf/quote.h"
#include "conf/small_file.h"
#include "proxy/cli/ask_head.h"
#include "proxy/cli/edge.h"
#include "proxy/cli/load_settings.h"
#include "proxy/cli/output.h"
#include "proxy/cli/workspace.h"
#include "proxy/edge/explanation.h"

#include <array>
#include <cerrno>
#include <expected>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace tidepool::cli {

namespace {

Result<edge::Question> question_of(const ExplainArguments& arguments) {
    auto question = edge::read_question(arguments.url);
    if (!question) return question;
    for (const std::string& header : arguments.headers) {
        auto field = edge::read_field(header);
        if (!field) return fail(field.error().kind, "--header: " + field.error().text);
        question->fields.add(field->name, field->value);
    }
    return question;
}

// Up to the most that an answer's head may have.
Result<std::string> read_standard_input() {
    std::string text;
    std::array<char, 16384> buffer{};
    while (text.size() <= edge::kHeadBytes) {
        const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
        if (got == 0) break;
        if (got > 0) {
            text.append(buffer.data(), static_cast<std::size_t>(got));
        } else if (errno != EINTR) {
            return fail_errno(errno, "read standard input");
        }
    }
    return text;
}

std::expected<edge::Answer, int> given_answer(const ExplainArguments& arguments) {
    const auto text = arguments.answer == "-"
                          ? read_standard_input()
                          : conf::read_small_file(arguments.answer, edge::kHeadBytes);
    if (!text) return std::unexpected(failed(text.error(), arguments.json));
    auto answer = edge::read_answer(*text);
    if (answer) return std::move(*answer);
    return std::unexpected(wrong_use(
        {answer.error().kind, arguments.answer + ": " + answer.error().text}, arguments.json));
}

std::expected<conf::ListenAddress, int> server_to_ask(const ExplainArguments& arguments) {
    if (!arguments.server.empty()) {
        auto address = conf::parse_listen_address(arguments.server);
        if (address) return std::move(*address);
        return std::unexpected(
            wrong_use({address.error().kind, "--server: " + address.error().text}, arguments.json));
    }
    conf::Settings settings;
    if (!arguments.config.empty()) {
        ServeOptions options;
        options.config = arguments.config;
        auto loaded = load_settings(options);
        if (!loaded) return std::unexpected(2);
        settings = std::move(*loaded);
    }
    return settings.server.listen.front();
}

// What the edge sends on a miss.
std::string request_of(const edge::Question& question, const conf::ListenAddress& server) {
    const bool has_name = server.family != conf::ListenAddress::Family::unix_path;
    std::string request = fmt::format("GET {} HTTP/1.1\r\n", question.target);
    for (const edge::Field& field :
         edge::fields_to_origin(question, has_name ? server.text() : "localhost"))
        request += fmt::format("{}: {}\r\n", field.name, field.value);
    return request + "\r\n";
}

std::expected<edge::Answer, int> asked_answer(const ExplainArguments& arguments,
                                              const edge::Question& question) {
    const auto server = server_to_ask(arguments);
    if (!server) return std::unexpected(server.error());
    const bool is_open =
        server->family != conf::ListenAddress::Family::unix_path && server->port == 0;
    if (is_open)
        return std::unexpected(
            wrong_use({ErrorKind::invalid,
                       server->text() + " leaves the port to the kernel: say it with --server"},
                      arguments.json));
    const auto text = ask_head(*server, request_of(question, *server));
    if (!text) return std::unexpected(failed(text.error(), arguments.json));
    auto answer = edge::read_answer(*text);
    if (answer) return std::move(*answer);
    return std::unexpected(
        failed({ErrorKind::io, server->text() + " sends what is no answer: " + answer.error().text},
               arguments.json));
}

Json number_or_null(const std::optional<std::int64_t>& number) {
    return number ? Json(*number) : Json(nullptr);
}

Json edge_plan_json(const edge::EdgePlan& plan) {
    return {{"store", plan.stores},
            {"ttl_s", number_or_null(plan.ttl_s)},
            {"ttl_source", plan.ttl_source.empty() ? Json(nullptr) : Json(plan.ttl_source)},
            {"revalidate_always", plan.revalidates_always},
            {"stale_while_revalidate_s", plan.stale_while_revalidate_s},
            {"stale_if_error_s", plan.stale_if_error_s},
            {"eligible", plan.is_eligible},
            {"cache_status", plan.cache_status},
            {"removes", plan.removes}};
}

Json browser_plan_json(const edge::BrowserPlan& plan) {
    return {{"store", plan.stores},
            {"ttl_s", number_or_null(plan.ttl_s)},
            {"revalidate_always", plan.revalidates_always},
            {"immutable", plan.is_immutable},
            {"stale_while_revalidate_s", plan.stale_while_revalidate_s}};
}

void print_explanation_json(const edge::Explanation& all, int status) {
    Json reasons = Json::array();
    for (const edge::Reason& reason : all.reasons)
        reasons.push_back({{"source", reason.source}, {"text", reason.text}});
    Json warnings = Json::array();
    for (const edge::Warning& warning : all.warnings)
        warnings.push_back({{"code", warning.code}, {"text", warning.text}});
    print_json({{"status", status},
                {"verdict", all.verdict},
                {"edge", edge_plan_json(all.edge)},
                {"browser", browser_plan_json(all.browser)},
                {"reasons", reasons},
                {"warnings", warnings}});
}

void print_explanation(const edge::Explanation& all, int status) {
    fmt::print("{}: {}\n\n", status, all.verdict);
    int number = 0;
    for (const edge::Reason& reason : all.reasons)
        fmt::print("{:>3}. {}: {}\n", ++number, reason.source, conf::printable(reason.text));
    if (!all.warnings.empty()) fmt::print("\n");
    for (const edge::Warning& warning : all.warnings)
        fmt::print("warning: {} ({})\n", conf::printable(warning.text), warning.code);
}

}  // namespace

int explain_answer(const ExplainArguments& arguments) {
    const auto question = question_of(arguments);
    if (!question) return wrong_use(question.error(), arguments.json);
    const auto answer =
        arguments.answer.empty() ? asked_answer(arguments, *question) : given_answer(arguments);
    if (!answer) return answer.error();
    const edge::Explanation all = edge::explain(*question, *answer, now_s());
    arguments.json ? print_explanation_json(all, answer->status)
                   : print_explanation(all, answer->status);
    return 0;
}

}  // namespace tidepool::cli
