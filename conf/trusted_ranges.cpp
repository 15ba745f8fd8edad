#include "conf/trusted_ranges.h"

#include "conf/bytes.h"
#include "conf/quote.h"
#include "conf/small_file.h"
#include "conf/value_kinds.h"

#include <algorithm>

namespace tidepool::conf {

namespace {

constexpr std::string_view kShipped = "cloudflare";
constexpr std::string_view kFilePrefix = "file:";
constexpr std::size_t kFileBytes = kMiB;
// A file of something else has a problem in every line; nobody reads more than these.
constexpr unsigned kShownProblems = 20;

constexpr std::string_view kExpected = "\"cloudflare\", a list of ranges or \"file:PATH\"";

std::string wrong_range(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash != text.npos && IpAddress::parse(text.substr(0, slash))) {
        return quote(text) + " is no range: too many bits, or bits set behind the prefix";
    }
    return quote(text) + " is no range: write \"173.245.48.0/20\" or \"2400:cb00::/32\"";
}

void append(std::vector<Cidr>& into, const std::vector<Cidr>& more) {
    into.insert(into.end(), more.begin(), more.end());
}

void read_item(const Node& item, std::vector<Cidr>& into, ProblemList& problems) {
    if (item.kind != Node::Kind::text)
        return add_unexpected(item, "a range such as \"173.245.48.0/20\"", problems);
    if (item.text == kShipped) return append(into, cloudflare_ranges());
    const auto range = Cidr::parse(item.text);
    if (!range) return problems.add(item.place, item.path, wrong_range(item.text));
    into.push_back(*range);
}

std::string_view without_comment(std::string_view line) {
    line = line.substr(0, line.find('#'));
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == line.npos) return {};
    return line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
}

// One range a line. Problems name the line of this file, under the key that led to it.
void read_lines(std::string_view content, const std::string& path, const std::string& key,
                std::vector<Cidr>& into, ProblemList& problems) {
    unsigned wrong_lines = 0;
    for (unsigned line_number = 1; !content.empty() && wrong_lines < kShownProblems;
         ++line_number) {
        const std::size_t end = std::min(content.find('\n'), content.size());
        const std::string_view text = without_comment(content.substr(0, end));
        content.remove_prefix(std::min(end + 1, content.size()));
        if (text.empty()) continue;
        if (const auto range = Cidr::parse(text)) {
            into.push_back(*range);
        } else {
            ++wrong_lines;
            problems.add_of(path, {line_number, 1}, key, wrong_range(text));
        }
    }
}

void read_file(const Node& node, std::vector<Cidr>& into, ProblemList& problems) {
    const std::string path = node.text.substr(kFilePrefix.size());
    if (!path.starts_with('/')) {
        return problems.add(node.place, node.path,
                            "expected an absolute path after file:, not " + quote(path));
    }
    const auto content = read_small_file(path, kFileBytes);
    if (!content) return problems.add(node.place, node.path, content.error().text);
    const std::size_t before = into.size();
    read_lines(*content, path, node.path, into, problems);
    if (into.size() == before && !problems.concerns(node.path)) {
        problems.add(node.place, node.path, path + " holds no range");
    }
}

}  // namespace

void TrustedRanges::read(const Node& node, std::vector<Cidr>& into, ProblemList& problems) const {
    into.clear();
    if (node.kind == Node::Kind::list) {
        for (const Node& item : node.items)
            read_item(item, into, problems);
        return;
    }
    if (node.kind != Node::Kind::text) return add_unexpected(node, kExpected, problems);
    if (node.text == kShipped) return append(into, cloudflare_ranges());
    if (node.text.starts_with(kFilePrefix)) return read_file(node, into, problems);
    if (Cidr::parse(node.text)) {
        return problems.add(node.place, node.path,
                            "ranges stand in a list: write [" + quote(node.text) + "]");
    }
    add_unexpected(node, kExpected, problems);
}

void TrustedRanges::check(const std::vector<Cidr>& value, const std::string& key,
                          Findings& findings) const {
    if (!value.empty()) return;
    findings.push_back(
        {{key},
         "the list is empty: name at least one range (to trust nobody but this machine, "
         "[\"127.0.0.1\"]); server.listen restricts who can connect"});
}

Result<std::string> find_ranges_file(const std::string& config_path) {
    const auto content = read_small_file(config_path, kDocumentBytes);
    if (!content) return std::unexpected(content.error());
    const auto document = parse_document(*content, config_path);
    const auto& problems = document ? document->duplicates : document.error();
    if (!problems.empty()) return fail(ErrorKind::invalid, problems.front().text());
    const Node* node = find_node(document->root, "edge.trusted_ranges");
    const bool names_file = node != nullptr && node->kind == Node::Kind::text &&
                            node->text.starts_with(std::string(kFilePrefix) + "/");
    if (!names_file)
        return fail(ErrorKind::invalid,
                    config_path + ": edge.trusted_ranges names no file: write \"file:/PATH\"");
    return node->text.substr(kFilePrefix.size());
}

}  // namespace tidepool::conf
