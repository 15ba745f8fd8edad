// tidepool get: an object into a file.
#include "proxy/cli/command.h"
#include "proxy/cli/file_transfer.h"
#include "proxy/cli/output.h"
#include "proxy/cli/progress.h"
#include "proxy/cli/workspace.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

using storage::ObjectRecord;

struct GetArguments : CommonOptions {
    std::string key;
    std::string file;
};

// Passes everything on and shows how much it was.
class ShownSink : public storage::ByteSink {
  public:
    ShownSink(FileSink& sink, Progress& progress, std::optional<std::uint64_t> total)
        : sink_(sink), progress_(progress), total_(total) {}
    Result<void> write(std::span<const char> bytes) override {
        auto written = sink_.write(bytes);
        progress_.update(sink_.size(), total_, " bytes");
        return written;
    }

  private:
    FileSink& sink_;
    Progress& progress_;
    std::optional<std::uint64_t> total_;
};

// The driver of the pool that has it, by the catalog or, where that has no row, by a look.
Result<storage::Driver*> find_driver(Workspace& workspace, const std::string& key,
                                     const std::optional<ObjectRecord>& row) {
    if (row) return workspace.driver_of(*row);
    const auto pool = workspace.find_on_disks(key);
    if (!pool) return std::unexpected(pool.error());
    if (*pool == nullptr) {
        return fail(ErrorKind::not_found, key + ": no pool is known to have it");
    }
    return &workspace.driver(**pool);
}

// A body that is not what the catalog says is not given a name (invariant 3).
Result<void> fetch(Workspace& workspace, const std::string& key, const std::string& file) {
    const auto row = workspace.catalog().find(key);
    if (!row) return std::unexpected(row.error());
    const auto driver = find_driver(workspace, key, *row);
    if (!driver) return std::unexpected(driver.error());
    const auto sink = FileSink::open(file);
    if (!sink) return std::unexpected(sink.error());
    {
        Progress progress("get");
        ShownSink shown(**sink, progress, *row ? std::optional((*row)->size) : std::nullopt);
        const auto info = (*driver)->get(key, {}, shown);
        if (!info) return std::unexpected(info.error());
        if ((*sink)->size() != info->size) {
            return fail(ErrorKind::corrupt,
                        fmt::format("{}: {} of {} bytes came", key, (*sink)->size(), info->size));
        }
    }
    if (*row && (*row)->sha256 && (*row)->sha256 != (*sink)->digest()) {
        return fail(ErrorKind::corrupt,
                    key + ": the content does not have the SHA-256 that the catalog knows");
    }
    return (*sink)->commit();
}

int get(const GetArguments& arguments) {
    const auto key = read_key(arguments.key);
    if (!key) return wrong_use(key.error());
    std::string file = arguments.file;
    if (file.empty()) file = key->substr(key->rfind('/') + 1);
    const bool json = arguments.json && file != "-";  // the content has standard output for itself
    auto workspace = Workspace::open(arguments);
    if (!workspace) return workspace.error();
    const auto fetched = fetch(*workspace, *key, file);
    if (!fetched) return failed(fetched.error(), json);
    if (json) print_json({{"key", *key}, {"file", file}});
    return 0;
}

}  // namespace

Command add_get(CLI::App& program) {
    auto arguments = std::make_shared<GetArguments>();
    CLI::App& parser =
        *program.add_subcommand("get", "Fetch an object, checked against the catalog");
    add_common(parser, *arguments);
    parser.add_option("KEY", arguments->key, "key, or path of its URL")->required();
    parser.add_option("FILE", arguments->file,
                      "where to; - is standard output (default: the key's last part)");
    return {&parser, [arguments] { return get(*arguments); }};
}

}  // namespace tidepool::cli
