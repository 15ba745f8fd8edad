// tidepool rm: an object, its bytes and its row; or images with all that there is of them.
#include "conf/random_name.h"
#include "proxy/cli/command.h"
#include "proxy/cli/job_wait.h"
#include "proxy/cli/output.h"
#include "proxy/cli/workspace.h"
#include "storage/image_remover.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

struct RmArguments : CommonOptions {
    std::vector<std::string> what;
    bool yes = false;
};

// The pool it was removed from; "" where none had it.
Result<std::string> remove(Workspace& workspace, const std::string& key) {
    const auto row = workspace.catalog().find(key);
    if (!row) return std::unexpected(row.error());
    if (*row) {
        if (auto removed = workspace.remove(**row); !removed)
            return std::unexpected(removed.error());
        return workspace.pool_name((*row)->pool);
    }
    const auto pool = workspace.find_on_disks(key);
    if (!pool) return std::unexpected(pool.error());
    if (*pool == nullptr) return std::string();
    if (auto removed = workspace.driver(**pool).remove(key); !removed)
        return std::unexpected(removed.error());
    return (*pool)->settings.name;
}

int remove_object(Workspace& workspace, const RmArguments& arguments, const std::string& key) {
    const auto pool = remove(workspace, key);
    if (!pool) return failed(pool.error(), arguments.json);
    if (arguments.json) {
        print_json({{"key", key},
                    {"removed", !pool->empty()},
                    {"pool", pool->empty() ? Json(nullptr) : Json(*pool)}});
    } else if (pool->empty()) {
        fmt::print("{}: nothing to remove\n", key);
    } else {
        fmt::print("{}: removed from pool {}\n", key, *pool);
    }
    return 0;
}

// What would go, without --yes.
int show_images(Workspace& workspace, const RmArguments& arguments,
                const std::vector<storage::Uuid>& images) {
    Json all = Json::array();
    for (const storage::Uuid& image : images) {
        const auto rows = workspace.catalog().objects_of(image);
        if (!rows) return failed(rows.error(), arguments.json);
        for (const storage::ObjectRecord& row : *rows) {
            if (arguments.json) {
                all.push_back(object_json(row, workspace.pool_name(row.pool)));
            } else {
                fmt::print("{}: would be removed from pool {}\n", row.key,
                           workspace.pool_name(row.pool));
            }
        }
    }
    if (arguments.json) {
        print_json({{"removed", false}, {"objects", std::move(all)}});
    } else {
        fmt::print("with --yes they are\n");
    }
    return 0;
}

int remove_images(Workspace& workspace, const RmArguments& arguments,
                  const std::vector<storage::Uuid>& images) {
    if (!arguments.yes) return show_images(workspace, arguments, images);
    const std::string batch = fmt::format("rm {}", conf::random_name());
    std::vector<storage::JobId> jobs;
    for (const storage::Uuid& image : images) {
        const auto queued = storage::delete_image(workspace.catalog(), image, batch, now_s());
        if (!queued) return failed(queued.error(), arguments.json);
        jobs.push_back(*queued);
    }
    return wait_for_batch(workspace, batch, "delete", arguments.json, jobs);
}

int rm(const RmArguments& arguments) {
    std::vector<storage::Uuid> images;
    std::vector<std::string> keys;
    for (const std::string& text : arguments.what) {
        if (const auto image = storage::parse_uuid(text)) {
            images.push_back(*image);
            continue;
        }
        auto key = read_key(text);
        if (!key) return wrong_use(key.error(), arguments.json);
        keys.push_back(std::move(*key));
    }
    if (!keys.empty() && !images.empty()) {
        return wrong_use({ErrorKind::invalid, "rm: name either images or objects"}, arguments.json);
    }
    auto workspace = Workspace::open(arguments);
    if (!workspace) return workspace.error();
    if (!images.empty()) return remove_images(*workspace, arguments, images);
    int status = 0;
    for (const std::string& key : keys)
        status = std::max(status, remove_object(*workspace, arguments, key));
    return status;
}

}  // namespace

Command add_rm(CLI::App& program) {
    auto arguments = std::make_shared<RmArguments>();
    CLI::App& parser =
        *program.add_subcommand("rm",
                                "Delete images with all that there is of them, or single "
                                "objects, for good; doing it again is no error");
    add_common(parser, *arguments);
    parser
        .add_option("WHAT", arguments->what,
                    "UUIDs of images; or keys, or paths of URLs, of objects")
        ->required();
    parser.add_flag("--yes", arguments->yes, "really delete the images");
    return {&parser, [arguments] { return rm(*arguments); }};
}

}  // namespace tidepool::cli
