// A folder of a test's own that goes away with it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

namespace tidepool::test {

class Folder {
  public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "tidepool.XXXXXX").string();
        REQUIRE(mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    std::string path(const std::string& name) const { return path_ + "/" + name; }
    void make(const std::string& folder) const {
        std::filesystem::create_directories(path(folder));
    }
    // Returns the file's path. Cuts and rewrites a file that is there already, in place.
    std::string write(const std::string& name, std::string_view content) const {
        std::ofstream file(path(name), std::ios::binary);
        file << content;
        REQUIRE(file.flush());
        return path(name);
    }
    void link(const std::string& name, const std::string& target) const {
        std::filesystem::create_symlink(target, path(name));
    }
    void rename(const std::string& from, const std::string& to) const {
        std::filesystem::rename(path(from), path(to));
    }
    std::string read(const std::string& name) const {
        std::ifstream file(path(name), std::ios::binary);
        return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    }

  private:
    std::string path_;
};

}  // namespace tidepool::test
