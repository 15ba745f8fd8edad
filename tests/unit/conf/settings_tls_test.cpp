// The settings of TLS: [tls], [[certificate]], and the certificates of clients.
#include "conf/settings_reader.h"

#include <chrono>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::conf;

namespace {

const std::string kPool = "\n[[pool]]\nname = \"hot\"\nbase_path = \"/srv/uploads\"\n";
const std::string kListens = "[tls]\nlisten = ['127.0.0.1:8443']\n";
const std::string kCertificate =
    "[[certificate]]\nchain_file = '/etc/chain.pem'\nkey_file = '/etc/key.pem'\n";

std::vector<std::string> tls_problems(const std::string& toml) {
    std::vector<std::string> all;
    for (const Problem& problem : read_settings(toml + kPool, "t.toml").problems)
        all.push_back(problem.text());
    return all;
}

// One problem, whose text holds this.
void check_tls_problem(const std::string& toml, const std::string& said) {
    CAPTURE(toml);
    const auto problems = tls_problems(toml);
    REQUIRE(problems.size() == 1);
    CHECK_THAT(problems.front(), Catch::Contains(said));
}

}  // namespace

TEST_CASE("settings of TLS: there is none until it is asked for", "[conf][settings]") {
    const Settings settings = read_settings(kPool, "t.toml").settings;
    CHECK(settings.tls.listen.empty());
    CHECK(settings.tls.min_version == TlsSettings::Version::tls1_2);
    CHECK(settings.tls.ticket_rotation == std::chrono::hours(12));
    CHECK(settings.certificates.empty());
    CHECK(settings.edge.client_ca_files.empty());
}

TEST_CASE("settings of TLS: all of it together", "[conf][settings]") {
    const std::string pin(64, 'a');
    const auto read = read_settings(
        kListens + "min_version = '1.3'\nticket_rotation = '90m'\n" + kCertificate + kCertificate +
            "[edge]\nclient_ca_files = ['/etc/ca.pem']\nclient_pins = ['" + pin + "']\n" + kPool,
        "t.toml");
    for (const Problem& problem : read.problems)
        FAIL_CHECK(problem.text());
    REQUIRE(read.settings.tls.listen.size() == 1);
    CHECK(read.settings.tls.listen[0].text() == "127.0.0.1:8443");
    CHECK(read.settings.tls.min_version == TlsSettings::Version::tls1_3);
    CHECK(read.settings.tls.ticket_rotation == std::chrono::minutes(90));
    REQUIRE(read.settings.certificates.size() == 2);
    CHECK(read.settings.certificates[1].chain_file == "/etc/chain.pem");
    CHECK(read.settings.certificates[1].key_file == "/etc/key.pem");
    CHECK(read.settings.edge.client_ca_files == std::vector<std::string>{"/etc/ca.pem"});
    CHECK(read.settings.edge.client_pins == std::vector{pin});
    CHECK(read.settings.edge.has_checks());
}

TEST_CASE("settings of TLS: what is wrong is said where it stands", "[conf][settings]") {
    check_tls_problem(kListens, "tls.listen: there is no certificate");
    check_tls_problem(kListens + "[[certificate]]\nkey_file = '/etc/key.pem'\n", "chain_file");
    check_tls_problem(kListens + "[[certificate]]\nchain_file = '/etc/chain.pem'\n", "key_file");
    check_tls_problem(
        kListens + "[[certificate]]\nchain_file = 'chain.pem'\nkey_file = '/etc/key.pem'\n",
        "certificate[1].chain_file: expected an absolute path of a file, not \"chain.pem\"");
    check_tls_problem(
        kListens + "[[certificate]]\nchain_file = '/etc/c.pem'\nkey_file = '/etc/keys/'\n",
        "certificate[1].key_file: expected an absolute path of a file, not \"/etc/keys/\"");
    check_tls_problem(kListens + "min_version = '1.1'\n" + kCertificate, "tls.min_version");
    check_tls_problem(kListens + "ticket_rotation = '30s'\n" + kCertificate, "tls.ticket_rotation");
    check_tls_problem(kListens + kCertificate + "[server]\nlisten = ['127.0.0.1:8443']\n",
                      "collides with");
    check_tls_problem(kListens + kCertificate + "[admin]\nlisten = ['0.0.0.0:8443']\n",
                      "collides with");
}

TEST_CASE("settings of TLS: certificates of clients go with it", "[conf][settings]") {
    check_tls_problem("[edge]\nclient_ca_files = ['/etc/ca.pem']\n", "nothing listens for it");
    check_tls_problem(
        kListens + kCertificate + "[edge]\nclient_pins = ['" + std::string(64, '0') + "']\n",
        "nobody is asked for a certificate");
    check_tls_problem(kListens + kCertificate + "[edge]\nclient_ca_except = ['127.0.0.1:8443']\n",
                      "nobody is asked for a certificate");
    check_tls_problem(kListens + kCertificate +
                          "[edge]\nclient_ca_files = ['/etc/ca.pem']\n"
                          "client_ca_except = ['0.0.0.0:8444']\n",
                      "nothing listens on 0.0.0.0:8444");
    for (const std::string& pin :
         {std::string(), std::string("ab"), std::string(63, 'a'), std::string("sha256/abc=")}) {
        check_tls_problem(kListens + kCertificate +
                              "[edge]\nclient_ca_files = ['/etc/ca.pem']\nclient_pins = ['" + pin +
                              "']\n",
                          "64 hex digits");
    }
}
