#include "proxy/edge/hcl.h"

#include "proxy/edge/zone_secrets.h"

#include <algorithm>

#include <fmt/format.h>

namespace tidepool::edge {

namespace {

constexpr std::string_view kExpressionMember = "$expression";

bool is_hcl_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_hcl_digit(char c) {
    return c >= '0' && c <= '9';
}

// "${" and "%{" begin a template, and doubled they do not.
std::string hcl_escaped(std::string_view text) {
    std::string escaped;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        const bool opens = (c == '$' || c == '%') && at + 1 < text.size() && text[at + 1] == '{';
        if (opens) escaped += c;
        switch (c) {
            case '"':
            case '\\':
                escaped += '\\';
                escaped += c;
                break;
            case '\n':
                escaped += "\\n";
                break;
            case '\r':
                escaped += "\\r";
                break;
            case '\t':
                escaped += "\\t";
                break;
            default:
                if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
                    escaped += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
                } else {
                    escaped += c;
                }
        }
    }
    return escaped;
}

// A name that needs no quotes, before "=".
std::string hcl_key(const std::string& key) {
    const bool is_plain =
        !key.empty() && is_hcl_letter(key.front()) &&
        std::ranges::all_of(key, [](char c) { return is_hcl_letter(c) || is_hcl_digit(c); });
    return is_plain ? key : hcl_string(key);
}

bool is_hcl_expression(const HclJson& value) {
    return value.is_object() && value.size() == 1 && value.contains(kExpressionMember);
}

std::string hcl_members(const HclJson& object, int depth, const HclFill& fill) {
    const std::string indent(static_cast<std::size_t>(depth) * 2, ' ');
    std::string text;
    for (const auto& [key, value] : object.items())
        text += fmt::format("{}{} = {}\n", indent, hcl_key(key), hcl_value(value, depth, fill));
    return text;
}

std::string hcl_list(const HclJson& list, int depth, const HclFill& fill) {
    const bool is_flat =
        std::ranges::none_of(list, [](auto& each) { return each.is_structured(); });
    const std::string indent(static_cast<std::size_t>(depth) * 2, ' ');
    std::string text = "[";
    for (const HclJson& each : list) {
        if (is_flat) {
            text += (text.size() > 1 ? ", " : "") + hcl_value(each, depth, fill);
        } else {
            text += fmt::format("\n{}  {},", indent, hcl_value(each, depth + 1, fill));
        }
    }
    return text + (is_flat ? "]" : "\n" + indent + "]");
}

}  // namespace

std::string hcl_string(std::string_view text, const HclFill& fill) {
    // The places' marks are no text, so what is between them is escaped piece by piece.
    std::string quoted = "\"";
    while (true) {
        const std::size_t begin = fill ? text.find('\x01') : text.npos;
        quoted += hcl_escaped(text.substr(0, begin));
        if (begin == text.npos) return quoted + '"';
        const std::size_t end = std::min(text.find('\x01', begin + 1), text.size() - 1);
        quoted += with_places_filled(text.substr(begin, end - begin + 1), fill);
        text.remove_prefix(end + 1);
    }
}

std::string hcl_value(const HclJson& value, int depth, const HclFill& fill) {
    if (is_hcl_expression(value)) return value[kExpressionMember].get<std::string>();
    if (value.is_string()) return hcl_string(value.get_ref<const std::string&>(), fill);
    if (value.is_array()) return hcl_list(value, depth, fill);
    if (!value.is_object()) return value.dump();
    if (value.empty()) return "{}";
    const std::string indent(static_cast<std::size_t>(depth) * 2, ' ');
    return fmt::format("{{\n{}{}}}", hcl_members(value, depth + 1, fill), indent);
}

std::string hcl_block(std::string_view type, const std::vector<std::string>& labels,
                      const HclJson& attributes, const HclFill& fill) {
    std::string text(type);
    for (const std::string& label : labels)
        text += " " + hcl_string(label);
    return fmt::format("{} {{\n{}}}\n", text, hcl_members(attributes, 1, fill));
}

std::string hcl_name(std::string_view text) {
    std::string name;
    for (const char c : text)
        name += is_hcl_letter(c) || is_hcl_digit(c) ? c : '_';
    if (name.empty() || is_hcl_digit(name.front())) name.insert(0, "_");
    return name;
}

}  // namespace tidepool::edge
