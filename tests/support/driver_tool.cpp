// Drives one pool's driver from a test: one command, one line of JSON.
//
//     driver_tool [NAME=VALUE...] COMMAND [ARGUMENT...]
//
// Values: base_path (a local pool), or endpoint, region, bucket, prefix, key and secret_env (the
// name of a variable) of an s3 pool; style=virtual; to_bucket for copies; multipart_above,
// part_bytes, tries, first_ms, stall_s and calls_b (a daily limit).
#include "conf/digest.h"
#include "storage/local_driver.h"
#include "storage/make_driver.h"
#include "storage/s3_driver.h"
#include "storage/streams.h"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

using namespace tidepool;
using namespace tidepool::storage;

namespace {

std::string json(std::string_view text) {
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20) {
            quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
            quoted.push_back(c);
        }
    }
    return quoted + "\"";
}

std::string json(const ObjectInfo& object) {
    return fmt::format(
        R"({{"key": {}, "size": {}, "modified": {}, "etag": {}, "version": {}, "type": {}, "sha256": {}}})",
        json(object.key), object.size, object.modified_s, json(object.etag),
        json(object.version_id), json(object.content_type),
        json(object.sha256 ? conf::hex(*object.sha256) : ""));
}

std::string json(const Error& error) {
    const StoreDetail none;
    const StoreDetail& store = error.store ? *error.store : none;
    static constexpr const char* kKinds[] = {"invalid",    "not_found", "denied",  "busy",
                                             "overloaded", "timed_out", "closed",  "io",
                                             "conflict",   "capped",    "corrupt", "misconfigured"};
    return fmt::format(
        R"({{"error": {}, "text": {}, "pool": {}, "key": {}, "status": {}, "code": {}, "retry_after": {}}})",
        json(kKinds[static_cast<std::size_t>(error.kind)]), json(error.text), json(store.pool),
        json(store.key), store.status, json(store.code), store.retry_after.count());
}

class FileSink final : public ByteSink {
  public:
    explicit FileSink(const std::string& path) : file_(path, std::ios::binary) {}
    Result<void> write(std::span<const char> bytes) override {
        file_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        file_.flush();
        if (!file_) return fail(ErrorKind::io, "the test's file");
        return {};
    }

  private:
    std::ofstream file_;
};

std::shared_ptr<OpenFile> open_source(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status{};
    if (fd < 0 || fstat(fd, &status) != 0) std::exit(2);
    return std::make_shared<OpenFile>(fd, FileIdentity::of(status), 0);
}

// The values given on the command line.
class Values {
  public:
    void set(std::string_view pair) {
        const std::size_t equals = pair.find('=');
        values_[std::string(pair.substr(0, equals))] = pair.substr(equals + 1);
    }
    std::string text(const std::string& name) const {
        const auto found = values_.find(name);
        return found == values_.end() ? "" : found->second;
    }
    std::uint64_t number(const std::string& name, std::uint64_t otherwise) const {
        const std::string value = text(name);
        return value.empty() ? otherwise : std::stoull(value);
    }

  private:
    std::map<std::string, std::string> values_;
};

conf::PoolSettings settings_of(const Values& values) {
    conf::PoolSettings settings;
    settings.name = "tool";
    settings.base_path = values.text("base_path");
    if (!settings.base_path.empty()) return settings;
    settings.storage_type = conf::PoolSettings::Type::s3;
    settings.endpoint_url = values.text("endpoint");
    settings.region = values.text("region");
    settings.bucket = values.text("bucket");
    settings.path_prefix = values.text("prefix");
    settings.access_key_id = conf::Secret("", values.text("key"));
    const char* secret = std::getenv(values.text("secret_env").c_str());
    settings.secret_access_key = conf::Secret("env", secret == nullptr ? "" : secret);
    settings.daily_class_b_calls = static_cast<std::int64_t>(values.number("calls_b", 0));
    if (values.text("style") == "virtual")
        settings.addressing = conf::PoolSettings::Addressing::virtual_host;
    return settings;
}

S3Limits limits_of(const Values& values) {
    S3Limits limits;
    limits.retry.tries = static_cast<unsigned>(values.number("tries", 6));
    limits.retry.first = std::chrono::milliseconds(values.number("first_ms", 5));
    limits.retry.most = std::chrono::milliseconds(values.number("most_ms", 2000));
    limits.http.connect_timeout = std::chrono::seconds(5);
    limits.http.stall_timeout = std::chrono::seconds(values.number("stall_s", 30));
    limits.multipart_above = values.number("multipart_above", limits.multipart_above);
    limits.part_bytes = values.number("part_bytes", limits.part_bytes);
    return limits;
}

using Arguments = std::vector<std::string>;

Result<std::string> as_json(const Result<ObjectInfo>& object) {
    if (!object) return std::unexpected(object.error());
    return json(*object);
}

std::optional<conf::Sha256Digest> digest_in(const Arguments& arguments, std::size_t at) {
    return arguments.size() > at ? conf::parse_sha256(arguments[at]) : std::nullopt;
}

// put KEY FILE [SHA256]
Result<std::string> put(Driver& driver, const Arguments& arguments) {
    const auto file = open_source(arguments.at(1));
    FileSource source(file);
    PutOptions options{.size = file->identity().size, .content_type = "image/jpeg"};
    options.cache_control = "public, max-age=31536000, immutable";
    options.sha256 = digest_in(arguments, 2);
    return as_json(driver.put(arguments.at(0), source, options));
}

// get KEY FILE [OFFSET [LENGTH]]
Result<std::string> get(Driver& driver, const Arguments& arguments) {
    GetRange range;
    if (arguments.size() > 2) range.offset = std::stoull(arguments[2]);
    if (arguments.size() > 3) range.length = std::stoull(arguments[3]);
    FileSink sink(arguments.at(1));
    return as_json(driver.get(arguments.at(0), range, sink));
}

// list PREFIX LIMIT: all pages
Result<std::string> list(Driver& driver, const Arguments& arguments) {
    std::string objects;
    std::string next;
    int pages = 0;
    do {
        const auto page = driver.list(arguments.at(0), next, std::stoull(arguments.at(1)));
        if (!page) return std::unexpected(page.error());
        for (const ObjectInfo& object : page->objects)
            objects += (objects.empty() ? "" : ", ") + json(object);
        next = page->next;
        ++pages;
    } while (!next.empty());
    return fmt::format(R"({{"pages": {}, "objects": [{}]}})", pages, objects);
}

// copy KEY TO_KEY SIZE [SHA256]: within the store, or says that it cannot
Result<std::string> copy(Driver& from, Driver& to, const Arguments& arguments) {
    PutOptions options{.size = std::stoull(arguments.at(2)), .content_type = "image/jpeg"};
    options.sha256 = digest_in(arguments, 3);
    const auto copied = to.copy_within_store(from, arguments.at(0), arguments.at(1), options);
    if (!copied) return std::unexpected(copied.error());
    return *copied ? json(**copied) : "null";
}

// move_out KEY TO_KEY SIZE FOLDER: to a local pool, through this machine
Result<std::string> copy_out(Driver& from, const Arguments& arguments) {
    conf::PoolSettings settings;
    settings.name = "out";
    settings.base_path = arguments.at(3);
    LocalDriver to(settings, "");
    const PutOptions options{.size = std::stoull(arguments.at(2))};
    return as_json(copy_object(from, arguments.at(0), to, arguments.at(1), options));
}

Result<std::string> check(Driver& driver, bool for_writing) {
    const auto found = driver.check(for_writing);
    if (!found) return std::unexpected(found.error());
    std::string lines;
    for (const std::string& line : *found)
        lines += (lines.empty() ? "" : ", ") + json(line);
    return "[" + lines + "]";
}

Result<std::string> strays(Driver& driver, const Arguments& arguments) {
    auto* s3 = dynamic_cast<S3Driver*>(&driver);
    if (s3 == nullptr) return fail(ErrorKind::invalid, "no s3 pool");
    const auto aborted = s3->abort_stray_uploads(std::chrono::seconds(std::stoll(arguments.at(0))));
    if (!aborted) return std::unexpected(aborted.error());
    return std::to_string(*aborted);
}

// many COUNT KEY FILE: that many gets, for what a store is asked
Result<std::string> many(Driver& driver, const Arguments& arguments) {
    std::string results;
    for (std::uint64_t i = 0; i < std::stoull(arguments.at(0)); ++i) {
        FileSink sink(arguments.at(2));
        const auto got = driver.get(arguments.at(1), {}, sink);
        results += (i == 0 ? "" : ", ") + (got ? json(*got) : json(got.error()));
    }
    return "[" + results + "]";
}

// storm THREADS TIMES PREFIX SIZE: each thread puts, gets and removes objects of its own; how many
// came back right
Result<std::string> storm(Driver& driver, const Arguments& arguments) {
    const std::uint64_t times = std::stoull(arguments.at(1));
    std::atomic<int> right = 0;
    std::vector<std::thread> threads;
    for (std::uint64_t thread = 0; thread < std::stoull(arguments.at(0)); ++thread) {
        threads.emplace_back([&, thread] {
            for (std::uint64_t i = 0; i < times; ++i) {
                const std::string key = fmt::format("{}{}-{}", arguments.at(2), thread, i);
                std::string content(std::stoull(arguments.at(3)), 'x');
                content += key;
                MemorySource source(content);
                MemorySink sink(content.size());
                const bool stored = driver.put(key, source, {.size = content.size()}).has_value();
                const bool got = stored && driver.get(key, {}, sink).has_value();
                if (driver.remove(key) && got && sink.content() == content) ++right;
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    return std::to_string(right);
}

Result<std::string> run(const Values& values, const std::string& command,
                        const Arguments& arguments) {
    const auto driver = make_driver(settings_of(values), "", nullptr, limits_of(values));
    if (command == "put") return put(*driver, arguments);
    if (command == "get") return get(*driver, arguments);
    if (command == "head") return as_json(driver->head(arguments.at(0)));
    if (command == "list") return list(*driver, arguments);
    if (command == "check") return check(*driver, false);
    if (command == "check_write") return check(*driver, true);
    if (command == "strays") return strays(*driver, arguments);
    if (command == "many") return many(*driver, arguments);
    if (command == "storm") return storm(*driver, arguments);
    if (command == "copy_out") return copy_out(*driver, arguments);
    if (command == "remove") {
        for (const std::string& key : arguments) {
            if (auto removed = driver->remove(key); !removed)
                return std::unexpected(std::move(removed.error()));
        }
        return "true";
    }
    if (command == "copy") {
        conf::PoolSettings target = settings_of(values);
        if (!values.text("to_bucket").empty()) target.bucket = values.text("to_bucket");
        const auto to = make_driver(target, "", nullptr, limits_of(values));
        return copy(*driver, *to, arguments);
    }
    return fail(ErrorKind::invalid, "no such command: " + command);
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    Values values;
    int at = 1;
    for (; at < argc && std::string_view(argv[at]).find('=') != std::string_view::npos; ++at)
        values.set(argv[at]);
    if (at >= argc) return 2;
    const std::string command = argv[at];
    const Arguments arguments(argv + at + 1, argv + argc);
    const auto result = run(values, command, arguments);
    fmt::print("{}\n", result ? *result : json(result.error()));
    return result ? 0 : 1;
}
