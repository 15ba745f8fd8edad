#include "conf/settings_reader.h"

#include "conf/document.h"
#include "conf/field.h"
#include "conf/settings_check.h"
#include "conf/settings_schema.h"
#include "conf/small_file.h"

#include <algorithm>
#include <iterator>

namespace tidepool::conf {

namespace {

std::vector<std::string_view> section_names() {
    std::vector<std::string_view> names;
    std::ranges::transform(settings_schema(), std::back_inserter(names), &SectionSchema::name);
    return names;
}

void read_sections(const Node& root, Settings& into, ProblemList& problems) {
    const auto& schema = settings_schema();
    for (const Member& member : root.members) {
        const auto section = std::ranges::find(schema, member.key, &SectionSchema::name);
        if (section != schema.end()) {
            section->read(member.value, into, problems);
        } else {
            add_unknown_key(member, section_names(), problems);
        }
    }
}

// The key that the operator wrote, for the others are defaults.
const std::string& key_to_blame(const Node& root, const Finding& finding) {
    const auto is_written = [&root](const std::string& key) {
        return find_node(root, key) != nullptr;
    };
    const auto written = std::ranges::find_if(finding.keys, is_written);
    return written != finding.keys.end() ? *written : finding.keys.front();
}

void add_findings(const Node& root, const Findings& findings, ProblemList& problems) {
    // Only what was found while reading mutes a finding, not one finding another.
    const ProblemList read_problems = problems;
    for (const Finding& finding : findings) {
        const auto is_known = [&read_problems](const std::string& key) {
            return read_problems.concerns(key);
        };
        if (std::ranges::any_of(finding.keys, is_known)) continue;
        const std::string& key = key_to_blame(root, finding);
        problems.add(place_of(root, key), key, finding.message);
    }
}

}  // namespace

ReadSettings read_settings(std::string_view toml_text, const std::string& file_name) {
    const auto document = parse_document(toml_text, file_name);
    if (!document) return {{}, document.error()};
    const Node& root = document->root;

    Settings settings;
    settings.cache_control.clear();
    // Profiles of the file take the place of the defaults, so that one can be left out.
    if (find_node(root, "profile") != nullptr) settings.profiles.clear();
    ProblemList problems(file_name);
    read_sections(root, settings, problems);
    // Behind the file's rules, so that every answer has one.
    std::ranges::move(default_cache_control(), std::back_inserter(settings.cache_control));
    add_findings(root, find_wrong_settings(settings), problems);
    // Behind those, as one would mute what was found of the value that holds.
    for (const Problem& each : document->duplicates)
        problems.add({each.line, each.column}, each.key, each.message);
    return {std::move(settings), problems.take_sorted()};
}

ReadSettings read_settings_file(const std::string& path) {
    const auto content = read_small_file(path, kDocumentBytes);
    if (!content) return {{}, {Problem{path, 0, 0, "", content.error().text}}};
    return read_settings(*content, path);
}

std::vector<Problem> check_settings(const Settings& settings) {
    std::vector<Problem> problems;
    for (Finding& finding : find_wrong_settings(settings)) {
        problems.push_back({"", 0, 0, std::move(finding.keys.front()), std::move(finding.message)});
    }
    return problems;
}

}  // namespace tidepool::conf
