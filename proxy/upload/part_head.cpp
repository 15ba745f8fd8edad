#include "proxy/upload/part_head.h"

#include "conf/ascii.h"
#include "conf/hex_digit.h"
#include "conf/quote.h"
#include "conf/text_rules.h"
#include "conf/utf8.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace tidepool::upload {

namespace {

constexpr std::size_t kMostBoundaryBytes = 70;

// One ";name=value".
struct Parameter {
    std::string name;  // lower case
    std::string value;
    bool is_token = false;  // it stood without quotes
};

// From the quote at the beginning of `rest` to the one that ends it, which is taken from `rest`.
// Nothing where it does not end. A backslash escapes a quote or itself; before anything else it
// stands for itself, since there are senders of whole Windows paths that escape nothing.
std::optional<std::string> take_quoted(std::string_view& rest) {
    std::string value;
    for (std::size_t i = 1; i < rest.size(); ++i) {
        if (rest[i] == '"') {
            rest.remove_prefix(i + 1);
            return value;
        }
        const bool escapes =
            rest[i] == '\\' && i + 1 < rest.size() && (rest[i + 1] == '"' || rest[i + 1] == '\\');
        if (escapes) ++i;
        value += rest[i];
    }
    return std::nullopt;
}

const Parameter* parameter_named(const std::vector<Parameter>& all, std::string_view name) {
    const auto found = std::ranges::find(all, name, &Parameter::name);
    return found == all.end() ? nullptr : &*found;
}

// What follows the first word of a header (RFC 9110, 5.6.6; RFC 2045, 5.1). Nothing where it has
// another form, or one name twice: two readers would take different ones.
std::optional<std::vector<Parameter>> parameters_in(std::string_view rest) {
    std::vector<Parameter> found;
    for (rest = conf::trim(rest); !rest.empty(); rest = conf::trim(rest)) {
        if (rest.front() != ';') return std::nullopt;
        rest = conf::trim(rest.substr(1));
        if (rest.empty() || rest.front() == ';') continue;
        const std::size_t equals = rest.find('=');
        if (equals == rest.npos || !conf::is_http_token(rest.substr(0, equals)))
            return std::nullopt;
        Parameter parameter{conf::lower_case(rest.substr(0, equals)), {}, false};
        rest.remove_prefix(equals + 1);
        if (rest.starts_with('"')) {
            auto value = take_quoted(rest);
            if (!value) return std::nullopt;
            parameter.value = std::move(*value);
        } else {
            const std::size_t end = std::min(rest.find_first_of("; \t"), rest.size());
            if (!conf::is_http_token(rest.substr(0, end))) return std::nullopt;
            parameter.value = rest.substr(0, end);
            parameter.is_token = true;
            rest.remove_prefix(end);
        }
        if (parameter_named(found, parameter.name) != nullptr) return std::nullopt;
        found.push_back(std::move(parameter));
    }
    return found;
}

// The parameters of `value` where its first word is `word`, in any case.
std::optional<std::vector<Parameter>> parameters_of(std::string_view value, std::string_view word) {
    value = conf::trim(value);
    const std::size_t end = std::min(value.find_first_of("; \t"), value.size());
    if (conf::lower_case(value.substr(0, end)) != word) return std::nullopt;
    return parameters_in(value.substr(end));
}

// RFC 2046, 5.1.1: bchars.
bool is_boundary_character(char c) {
    return conf::is_digit(c) || (conf::lower_case(c) >= 'a' && conf::lower_case(c) <= 'z') ||
           std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos;
}

// Browsers write a quote of a name so, and line ends as %0D%0A, which is left as it is: a percent
// sign is not escaped itself, so the rest may be what the user typed.
std::string with_quotes(std::string_view name) {
    static constexpr std::string_view kQuote = "%22";
    std::string text;
    for (std::size_t at = name.find(kQuote); at != name.npos; at = name.find(kQuote)) {
        text += name.substr(0, at);
        text += '"';
        name.remove_prefix(at + kQuote.size());
    }
    return text += name;
}

// RFC 8187, 3.2.1: attr-char.
bool is_extended_character(char c) {
    return conf::is_http_token({&c, 1}) && c != '*' && c != '\'' && c != '%';
}

// The text of UTF-8'LANGUAGE'TEXT (RFC 8187, 3.2.1); nothing for any other form or charset.
std::optional<std::string> extended_text(std::string_view value) {
    const std::size_t charset_end = std::min(value.find('\''), value.size());
    if (conf::lower_case(value.substr(0, charset_end)) != "utf-8") return std::nullopt;
    const std::size_t language_end = value.find('\'', charset_end + 1);
    if (language_end == value.npos) return std::nullopt;
    value.remove_prefix(language_end + 1);
    std::string text;
    while (!value.empty()) {
        std::size_t length = 1;
        if (value.front() == '%') {
            const auto byte = conf::escaped_byte(value);
            if (!byte) return std::nullopt;
            text += static_cast<char>(*byte);
            length = 3;
        } else if (is_extended_character(value.front())) {
            text += value.front();
        } else {
            return std::nullopt;
        }
        value.remove_prefix(length);
    }
    return text;
}

// Of either kind of system.
std::string_view last_component(std::string_view path) {
    const std::size_t slash = path.find_last_of("/\\");
    return slash == path.npos ? path : path.substr(slash + 1);
}

std::unexpected<Error> bad_head(const std::string& what) {
    return fail(ErrorKind::invalid, what);
}

bool is_clean(std::string_view text) {
    return conf::is_utf8(text) && !conf::has_control_character(text);
}

Result<void> read_disposition(std::string_view value, PartHead& head) {
    const auto parameters = parameters_of(value, "form-data");
    if (!parameters)
        return bad_head("its Content-Disposition is not of the form form-data; name=\"...\"");
    const Parameter* const name = parameter_named(*parameters, "name");
    if (name == nullptr) return bad_head("its Content-Disposition has no name");
    head.name = with_quotes(name->value);
    if (!is_clean(head.name)) return bad_head("its name is not plain UTF-8");

    std::optional<std::string> file_name;
    if (const Parameter* const extended = parameter_named(*parameters, "filename*")) {
        if (extended->is_token) file_name = extended_text(extended->value);
        if (!file_name) return bad_head("its filename* is not of the form UTF-8''TEXT");
    } else if (const Parameter* const plain = parameter_named(*parameters, "filename")) {
        file_name = with_quotes(plain->value);
    }
    if (!file_name) return {};
    if (!is_clean(*file_name)) return bad_head("its file name is not plain UTF-8");
    head.file_name = last_component(*file_name);
    return {};
}

// RFC 7578, 4.7: forms are bytes as they are. Base64 taken for bytes would be stored as such.
bool is_unencoded(std::string_view encoding) {
    const std::string name = conf::lower_case(encoding);
    return name == "binary" || name == "8bit" || name == "7bit";
}

// The fields that may be there once; others are of no interest.
struct SeenFields {
    bool disposition = false;
    bool type = false;
};

Result<void> read_field(std::string_view line, PartHead& head, SeenFields& seen) {
    const std::size_t colon = line.find(':');
    if (colon == line.npos || !conf::is_http_token(line.substr(0, colon)))
        return bad_head("a line of its head is not of the form NAME: VALUE");
    std::string text(line.substr(colon + 1));
    std::ranges::replace(text, '\t', ' ');
    if (!is_clean(text)) return bad_head("its head is not plain UTF-8");
    const std::string name = conf::lower_case(line.substr(0, colon));
    const std::string_view value = conf::trim(text);
    if (name == "content-disposition") {
        if (std::exchange(seen.disposition, true))
            return bad_head("it has more than one Content-Disposition");
        return read_disposition(value, head);
    }
    if (name == "content-type") {
        if (std::exchange(seen.type, true)) return bad_head("it has more than one Content-Type");
        head.content_type = value;
    }
    if (name == "content-transfer-encoding" && !is_unencoded(value))
        return bad_head("it has a Content-Transfer-Encoding, which forms have not");
    return {};
}

}  // namespace

std::optional<std::string> boundary_of(std::string_view content_type) {
    auto parameters = parameters_of(content_type, "multipart/form-data");
    if (!parameters) return std::nullopt;
    const Parameter* const boundary = parameter_named(*parameters, "boundary");
    if (boundary == nullptr) return std::nullopt;
    const std::string& text = boundary->value;
    if (text.empty() || text.size() > kMostBoundaryBytes || text.back() == ' ' ||
        !std::ranges::all_of(text, is_boundary_character))
        return std::nullopt;
    return text;
}

Result<PartHead> read_part_head(std::string_view lines) {
    PartHead head;
    SeenFields seen;
    while (true) {
        const std::size_t end = lines.find("\r\n");
        if (end == lines.npos) return bad_head("its head does not end");
        if (end == 0) break;
        if (auto done = read_field(lines.substr(0, end), head, seen); !done)
            return std::unexpected(std::move(done.error()));
        lines.remove_prefix(end + 2);
    }
    if (!seen.disposition) return bad_head("it has no Content-Disposition");
    return head;
}

}  // namespace tidepool::upload
