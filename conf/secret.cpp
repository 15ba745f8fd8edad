#include "conf/secret.h"

#include "conf/quote.h"
#include "conf/small_file.h"

#include <cstdlib>
#include <utility>

namespace tidepool::conf {

namespace {

constexpr std::size_t kSecretBytes = 64UL * 1024;

Result<std::string> read_variable(const std::string& name) {
    // Read before any thread starts, and nothing here ever sets one.
    const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe)
    if (value == nullptr)
        return fail(ErrorKind::not_found, "the environment has no variable " + quote(name));
    return std::string(value);
}

Result<std::string> read_file(const std::string& path) {
    auto content = read_small_file(path, kSecretBytes);
    if (!content) return content;
    if (content->ends_with('\n')) content->pop_back();
    if (content->ends_with('\r')) content->pop_back();
    return content;
}

}  // namespace

Result<Secret> read_secret(const std::string& source) {
    const bool in_environment = source.starts_with("env:") && source.size() > 4;
    const bool in_file = source.starts_with("file:/");
    // The text is not repeated: it may be the secret itself.
    if (!in_environment && !in_file)
        return fail(ErrorKind::invalid, "expected \"env:NAME\" or \"file:/PATH\"");
    auto value = in_environment ? read_variable(source.substr(4)) : read_file(source.substr(5));
    if (!value) return std::unexpected(std::move(value.error()));
    if (value->empty()) return fail(ErrorKind::invalid, quote(source) + " is empty");
    return Secret(source, std::move(*value));
}

}  // namespace tidepool::conf
