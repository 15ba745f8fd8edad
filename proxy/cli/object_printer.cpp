#include "proxy/cli/object_printer.h"

#include "proxy/cli/output.h"

#include <fmt/format.h>

namespace tidepool::cli {

ObjectPrinter::ObjectPrinter(bool json) : json_(json) {
    if (json_) fmt::print("[");
}

void ObjectPrinter::print(const storage::ObjectRecord& object, const std::string& pool) {
    if (json_) {
        fmt::print("{}{}", count_ == 0 ? "\n" : ",\n", json_text(object_json(object, pool)));
    } else {
        fmt::print("{:>12}  {}  {:<12}  {}\n", object.size, human_time(object.modified_s), pool,
                   object.key);
    }
    ++count_;
}

void ObjectPrinter::end() const {
    if (json_) fmt::print("{}]\n", count_ == 0 ? "" : "\n");
}

}  // namespace tidepool::cli
