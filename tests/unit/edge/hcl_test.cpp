#include "proxy/edge/hcl.h"

#include "proxy/edge/zone_secrets.h"
#include "proxy/edge/zone_terraform.h"

#include <cctype>
#include <stdexcept>
#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::edge;

namespace {

// Reads what HCL's specification has for blocks, attributes, objects, lists, literals, references
// and quoted templates; throws for anything else. A reference and an interpolation are texts
// "${...}".
class HclReader {
  public:
    explicit HclReader(std::string_view text) : text_(text) {}

    // {"TYPE LABEL LABEL": BODY, ...}
    HclJson file() {
        HclJson blocks = HclJson::object();
        while (skip(), at_ < text_.size()) {
            const auto [name, body] = block();
            if (blocks.contains(name)) throw std::runtime_error("twice: " + name);
            blocks[name] = body;
        }
        return blocks;
    }
    HclJson value() {
        skip();
        const char c = peek();
        if (c == '"') return quoted();
        if (c == '{') return object();
        if (c == '[') return list();
        if (c == '-' || std::isdigit(static_cast<unsigned char>(c))) return number();
        const std::string name = identifier();
        if (name == "true" || name == "false") return name == "true";
        if (name == "null") return nullptr;
        if (name == "string") return "${string}";
        std::string reference = name;
        while (peek() == '.') {
            ++at_;
            reference += "." + identifier();
        }
        if (reference == name) throw std::runtime_error("a bare word: " + name);
        return "${" + reference + "}";
    }
    void end() {
        skip();
        if (at_ != text_.size()) throw std::runtime_error("more than a value");
    }

  private:
    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    void skip() {
        while (at_ < text_.size()) {
            if (std::isspace(static_cast<unsigned char>(text_[at_]))) {
                ++at_;
            } else if (text_[at_] == '#') {
                at_ = std::min(text_.find('\n', at_), text_.size());
            } else {
                return;
            }
        }
    }
    void expect(char c) {
        skip();
        if (peek() != c)
            throw std::runtime_error(std::string("expected ") + c + " before " +
                                     std::string(text_.substr(at_, 40)));
        ++at_;
    }
    std::string identifier() {
        skip();
        const std::size_t begin = at_;
        while (std::isalnum(static_cast<unsigned char>(peek())) || peek() == '_' || peek() == '-')
            ++at_;
        if (at_ == begin || std::isdigit(static_cast<unsigned char>(text_[begin])))
            throw std::runtime_error("no name at " + std::string(text_.substr(begin, 40)));
        return std::string(text_.substr(begin, at_ - begin));
    }
    std::string quoted() {
        expect('"');
        std::string read;
        while (peek() != '"') {
            const char c = peek();
            if (c == '\0' || c == '\n') throw std::runtime_error("a string does not end");
            const bool is_template = (c == '$' || c == '%') && text_.substr(at_ + 1, 1) == "{";
            if ((c == '$' || c == '%') && text_.substr(at_ + 1, 2) == std::string{c, '{'}) {
                read += std::string{c, '{'};
                at_ += 3;
            } else if (is_template) {
                const std::size_t close = text_.find('}', at_);
                read += text_.substr(at_, close + 1 - at_);
                at_ = close + 1;
            } else if (c == '\\') {
                read += escape();
            } else {
                read += c;
                ++at_;
            }
        }
        ++at_;
        return read;
    }
    char escape() {
        const char c = text_.at(at_ + 1);
        at_ += 2;
        if (c == 'u') {
            const int code = std::stoi(std::string(text_.substr(at_, 4)), nullptr, 16);
            at_ += 4;
            return static_cast<char>(code);
        }
        const std::size_t found = std::string_view("nrt\"\\").find(c);
        if (found == std::string_view::npos) throw std::runtime_error("an escape there is not");
        return "\n\r\t\"\\"[found];
    }
    HclJson number() {
        const std::size_t begin = at_;
        while (peek() == '-' || std::isdigit(static_cast<unsigned char>(peek())))
            ++at_;
        return std::stoll(std::string(text_.substr(begin, at_ - begin)));
    }
    HclJson object() {
        expect('{');
        HclJson read = HclJson::object();
        while (skip(), peek() != '}')
            attribute(read);
        ++at_;
        return read;
    }
    // One to a line.
    void attribute(HclJson& into) {
        const std::string name = peek() == '"' ? quoted() : identifier();
        expect('=');
        if (into.contains(name)) throw std::runtime_error("twice: " + name);
        into[name] = value();
        const std::size_t line = text_.find_first_not_of(' ', at_);
        if (line == std::string_view::npos || (text_[line] != '\n' && text_[line] != '}'))
            throw std::runtime_error("more on the line of " + name);
    }
    HclJson list() {
        expect('[');
        HclJson read = HclJson::array();
        while (skip(), peek() != ']') {
            read.push_back(value());
            skip();
            if (peek() == ',') ++at_;
        }
        ++at_;
        return read;
    }
    std::pair<std::string, HclJson> block() {
        std::string name = identifier();
        while (skip(), peek() == '"')
            name += " " + quoted();
        expect('{');
        HclJson body = HclJson::object();
        while (skip(), peek() != '}') {
            const std::size_t begin = at_;
            peek() == '"' ? quoted() : identifier();
            skip();
            const bool is_attribute = peek() == '=';
            at_ = begin;
            if (is_attribute) {
                attribute(body);
                continue;
            }
            const auto [inner, content] = block();
            body[inner] = content;
        }
        ++at_;
        return {name, body};
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

HclJson read_value(const std::string& text) {
    HclReader reader(text);
    HclJson value = reader.value();
    reader.end();
    return value;
}

}  // namespace

TEST_CASE("hcl: a string means itself, whatever stands in it", "[edge]") {
    for (const std::string text :
         {"", "plain", R"(a "b" \c)", "${var.x}", "%{ if true }", "$", "$${", "$$", "a$", "%%{x",
          "line\nline\r\ttab", "\x02\x7f", "h\xc3\xa4user"}) {
        INFO(text);
        CHECK(read_value(hcl_string(text)) == HclJson(text));
    }
    CHECK(hcl_string("${x}") == R"("$${x}")");
}

TEST_CASE("hcl: the place of a secret is an interpolation, and nothing else is", "[edge]") {
    const auto fill = [](std::string_view name) { return "${var." + hcl_name(name) + "}"; };
    CHECK(hcl_string("a${" + secret_place("edge.secret") + "\"", fill) ==
          R"("a$${${var.edge_secret}\"")");
    CHECK(hcl_string(secret_place("k"), fill) == R"("${var.k}")");
}

TEST_CASE("hcl: values of all kinds are read back", "[edge]") {
    const HclJson value = {{"text", "x"},
                           {"number", -1},
                           {"yes", true},
                           {"none", nullptr},
                           {"empty", HclJson::object()},
                           {"x-bz-file-id", {{"operation", "remove"}}},
                           {"flat", HclJson::array({1, 2})},
                           {"deep", HclJson::array({{{"a", 1}}, {{"b", HclJson::array({"c"})}}})}};
    CHECK(read_value(hcl_value(value)).dump() == value.dump());
    CHECK(hcl_value({{"x-y", 1}, {"xy", HclJson::array()}}) == "{\n  \"x-y\" = 1\n  xy = []\n}");
}

TEST_CASE("hcl: names are names", "[edge]") {
    CHECK(hcl_name("tidepool_images.example") == "tidepool_images_example");
    CHECK(hcl_name("1a") == "_1a");
    CHECK(hcl_name("") == "_");
}

TEST_CASE("terraform: the file can be read, and holds all rules", "[edge]") {
    conf::Settings settings;
    settings.edge.hosts = {"images.example"};
    settings.edge.secret_header = "X-Origin-Key";
    settings.edge.secret = conf::Secret("env:SECRET", "do-not-show-${this}");
    settings.edge.client_ca_files = {"/ca.pem"};
    settings.private_images.prefixes = {"uploads/${private}/"};
    settings.private_images.edge_checks = true;
    settings.private_images.signing_key = conf::Secret("env:KEY", R"(k"ey)");
    conf::PoolSettings pool;
    pool.name = "cold";
    pool.storage_type = conf::PoolSettings::Type::s3;
    pool.bucket = "site-images";
    pool.download_url = "https://f001.backblazeb2.com";
    pool.public_base_url = "https://images-b2.example";
    const ZoneRules all =
        zone_rules(zone_facts(settings, {pool}), {.address = "192.0.2.1", .plan = ZonePlan::pro});
    const std::string text = zone_terraform(all, "0123456789abcdef0123456789abcdef", false);
    CHECK(text.find("do-not-show") == std::string::npos);
    CHECK(text.find("k\\\"ey") == std::string::npos);
    const HclJson file = HclReader(text).file();
    CHECK(file["variable tidepool_edge_secret"]["sensitive"] == true);
    CHECK_FALSE(file.contains("variable tidepool_private_signing_key_previous"));
    const HclJson& record = file["resource cloudflare_dns_record tidepool_images_example"];
    CHECK(record.dump() == R"({"zone_id":"${var.zone_id}","name":"images.example","type":"A",)"
                           R"("content":"192.0.2.1","proxied":true,"ttl":1})");
    CHECK(file["resource cloudflare_zone_setting tidepool"]["value"] == "strict");
    CHECK(file["resource cloudflare_authenticated_origin_pulls_settings tidepool"]["enabled"] ==
          true);
    std::size_t rules = 0;
    for (std::size_t index = 0; index < kPhases; ++index) {
        const std::string name =
            "resource cloudflare_ruleset tidepool_" + std::string(api_name(phase_at(index)));
        if (!file.contains(name)) continue;
        CHECK(file[name]["kind"] == "zone");
        CHECK(file[name]["phase"] == api_name(phase_at(index)));
        for (const HclJson& rule : file[name]["rules"]) {
            const ZoneRule& wanted = all.rules[rules++];
            CHECK(rule["ref"] == wanted.ref);
            CHECK(rule["description"] == wanted.name);
            const auto variable = [](std::string_view secret) {
                return "${var.tidepool_" + hcl_name(secret) + "}";
            };
            CHECK(rule.dump() == rule_json(wanted, variable).dump());
        }
    }
    CHECK(rules == all.rules.size());
    CHECK(rules > 6);

    const HclJson shown = HclReader(zone_terraform(all, "", true)).file();
    CHECK(shown["variable tidepool_edge_secret"]["default"] == "do-not-show-${this}");
    CHECK(shown["variable tidepool_private_signing_key"]["default"] == R"(k\"ey)");
    CHECK_FALSE(shown["variable zone_id"].contains("default"));
}
