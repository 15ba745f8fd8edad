#include "proxy/edge/message.h"

#include "conf/ascii.h"
#include "conf/quote.h"
#include "conf/text_rules.h"
#include "proxy/edge/eligibility.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace tidepool::edge {

namespace {

using conf::quote;

// Fields that the edge replaces, or that concern one connection only.
constexpr std::array<std::string_view, 8> kReplaced{
    "host", "connection", "keep-alive", "accept-encoding",
    "te",   "upgrade",    "x-real-ip",  "transfer-encoding"};
// Those that would make the answer less than the whole object.
constexpr std::array<std::string_view, 6> kPartial{
    "range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"};

bool is_one_of(const auto& names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

bool is_sendable(std::string_view text) {
    return std::ranges::none_of(
        text, [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; });
}

// The next line, without its end; `text` is what follows it.
std::string_view next_line(std::string_view& text) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

// "HTTP/1.1 200 OK", "HTTP/2 200"
std::optional<int> status_of(std::string_view line) {
    const std::size_t blank = line.find(' ');
    if (!line.starts_with("HTTP/") || blank == line.npos) return {};
    const std::string_view rest = line.substr(blank + 1);
    int status = 0;
    const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), status);
    const bool ends_there = stop == rest.data() + rest.size() || *stop == ' ';
    if (error != std::errc() || !ends_there || status < 100 || status > 599) return {};
    return status;
}

Result<FieldList> read_fields(std::string_view& text) {
    FieldList fields;
    while (!text.empty()) {
        const std::string_view line = next_line(text);
        if (line.empty()) break;
        auto field = read_field(line);
        if (!field) return std::unexpected(std::move(field.error()));
        fields.add(field->name, field->value);
    }
    return fields;
}

}  // namespace

void FieldList::add(std::string_view name, std::string_view value) {
    all_.push_back({conf::lower_case(name), std::string(value)});
}

bool FieldList::has(std::string_view name) const {
    return std::ranges::find(all_, name, &Field::name) != all_.end();
}

std::string FieldList::value(std::string_view name) const {
    std::string joined;
    for (const Field& field : all_) {
        if (field.name != name) continue;
        if (!joined.empty()) joined += ", ";
        joined += field.value;
    }
    return joined;
}

std::vector<std::string> members_of(std::string_view value) {
    std::vector<std::string> members;
    while (!value.empty()) {
        const std::size_t end = std::min(value.find(','), value.size());
        const std::string_view member = conf::trim(value.substr(0, end));
        if (!member.empty()) members.push_back(conf::lower_case(member));
        value.remove_prefix(std::min(end + 1, value.size()));
    }
    return members;
}

std::string_view Question::path() const {
    return std::string_view(target).substr(0, target.find('?'));
}

std::string_view Question::query() const {
    const std::size_t mark = target.find('?');
    return mark == target.npos ? std::string_view() : std::string_view(target).substr(mark + 1);
}

Result<Question> read_question(std::string_view url) {
    Question question;
    std::string_view rest = url.substr(0, url.find('#'));
    const std::size_t scheme = rest.find("://");
    if (!rest.starts_with('/')) {
        const std::string name = conf::lower_case(rest.substr(0, scheme));
        if (scheme == rest.npos || (name != "http" && name != "https"))
            return fail(ErrorKind::invalid,
                        quote(url) + " is neither a path like \"/uploads/a.jpg\" nor a URL");
        rest.remove_prefix(scheme + 3);
        const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
        question.host = rest.substr(0, end);
        rest.remove_prefix(end);
        if (question.host.empty() || question.host.find('@') != std::string::npos)
            return fail(ErrorKind::invalid, quote(url) + " names no host");
    }
    question.target = rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
    if (!is_sendable(question.host) || !is_sendable(question.target))
        return fail(ErrorKind::invalid,
                    quote(url) + " has blanks or control characters; write them as %20");
    return question;
}

Result<Field> read_field(std::string_view line) {
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    if (colon == line.npos || !conf::is_http_token(name))
        return fail(ErrorKind::invalid, quote(line) + " is no header field, write \"Name: value\"");
    const std::string_view value = conf::trim(line.substr(colon + 1));
    if (std::ranges::any_of(value, [](char c) {
            return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == '\x7f';
        }))
        return fail(ErrorKind::invalid, quote(line) + " has a control character");
    return Field{conf::lower_case(name), std::string(value)};
}

Result<Answer> read_answer(std::string_view text) {
    if (text.size() > kHeadBytes) {
        const std::size_t end = std::min(text.find("\r\n\r\n"), text.find("\n\n"));
        if (end > kHeadBytes)
            return fail(ErrorKind::invalid,
                        "the head is longer than the 128 KiB that the edge takes");
    }
    while (true) {
        const std::string_view line = next_line(text);
        const auto status = status_of(line);
        if (!status)
            return fail(ErrorKind::invalid,
                        quote(line) + " is no status line such as \"HTTP/1.1 200 OK\"");
        auto fields = read_fields(text);
        if (!fields) return std::unexpected(std::move(fields.error()));
        if (*status >= 200) return Answer{*status, std::move(*fields)};
    }
}

std::vector<Field> fields_to_origin(const Question& question, std::string_view host) {
    const std::string visitors = question.fields.value("host");
    std::vector<Field> fields{{"host", !visitors.empty()        ? visitors
                                       : !question.host.empty() ? question.host
                                                                : std::string(host)},
                              {"connection", "Keep-Alive"},
                              {"accept-encoding", "br, gzip"}};
    const bool wants_whole = is_default_extension(extension_of(question.path()));
    for (const Field& field : question.fields.all()) {
        if (is_one_of(kReplaced, field.name)) continue;
        if (wants_whole && is_one_of(kPartial, field.name)) continue;
        fields.push_back(field);
    }
    return fields;
}

}  // namespace tidepool::edge
