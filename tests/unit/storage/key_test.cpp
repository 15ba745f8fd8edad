#include "storage/key.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool::storage;

TEST_CASE("key: paths that name something", "[storage][key]") {
    struct Case {
        const char *path, *key;
    };
    for (const Case& each : std::initializer_list<Case>{
             {"/uploads/a.jpg", "uploads/a.jpg"},
             {"/uploads/original/2026/02/25/x.jpg", "uploads/original/2026/02/25/x.jpg"},
             {"/uploads/a%20b.jpg", "uploads/a b.jpg"},
             {"/uploads/a b.jpg", "uploads/a b.jpg"},
             {"/%75ploads/a", "uploads/a"},
             {"/uploads/%C3%A4.jpg", "uploads/\xC3\xA4.jpg"},
             {"/uploads/\xC3\xA4.jpg", "uploads/\xC3\xA4.jpg"},
             {"/uploads/%25", "uploads/%"},
             {"/uploads/%252e%252e", "uploads/%2e%2e"},
             {"/uploads/a+b", "uploads/a+b"},
             {"/uploads/a..b/...c", ""},
             {"/uploads/a.tmpx", "uploads/a.tmpx"},
             {"/uploads/temp", "uploads/temp"}}) {
        CAPTURE(each.path);
        std::string key;
        if (*each.key == '\0') {
            CHECK(key_from_path(each.path, "/uploads/", key) == KeyVerdict::absent);
        } else {
            REQUIRE(key_from_path(each.path, "/uploads/", key) == KeyVerdict::good);
            CHECK(key == each.key);
        }
    }
}

TEST_CASE("key: paths that no proper client sends", "[storage][key]") {
    for (const std::string& path : std::initializer_list<std::string>{"",
                                                                      "a",
                                                                      "*",
                                                                      "/uploads/%",
                                                                      "/uploads/%2",
                                                                      "/uploads/%zz",
                                                                      "/uploads/%2fa",
                                                                      "/uploads/a%2Fb",
                                                                      "/uploads/%00",
                                                                      "/uploads/a%0a",
                                                                      "/uploads/a%7f",
                                                                      "/uploads/a\\b",
                                                                      "/uploads/%5c",
                                                                      "/uploads/..",
                                                                      "/uploads/../a",
                                                                      "/uploads/%2e%2e/a",
                                                                      "/uploads/.%2e/a",
                                                                      "/uploads/./a",
                                                                      "/uploads/a/.",
                                                                      "/..",
                                                                      "/../uploads/a",
                                                                      "/uploads/\xFF",
                                                                      "/uploads/%FF",
                                                                      "/uploads/\xC0\xAF",
                                                                      "/uploads/\xED\xA0\x80",
                                                                      "/uploads/\xF4\x90\x80\x80",
                                                                      "/uploads/\xC3",
                                                                      "/uploads/\xE2\x82",
                                                                      "/uploads/\x80"}) {
        CAPTURE(path);
        std::string key;
        CHECK(key_from_path(path, "/uploads/", key) == KeyVerdict::malformed);
    }
}

TEST_CASE("key: proper paths that name nothing we serve", "[storage][key]") {
    for (const std::string& path : std::initializer_list<std::string>{
             "/", "/uploads", "/uploads/", "/other/a", "/uploadsx/a", "/uploads//a", "/uploads/a/",
             "//uploads/a", "/uploads/.hidden", "/uploads/.a/b", "/uploads/a~", "/uploads/a.tmp",
             "/uploads/a.part", "/uploads/a.swp", "/uploads/a.crdownload",
             "/uploads/" + std::string(251, 'a'),
             "/uploads/" + std::string(240, 'a') + "/" + std::string(240, 'b') + "/" +
                 std::string(240, 'c') + "/" + std::string(240, 'd') + "/" +
                 std::string(240, 'e')}) {
        CAPTURE(path);
        std::string key;
        CHECK(key_from_path(path, "/uploads/", key) == KeyVerdict::absent);
    }
    std::string key;
    CHECK(key_from_path("/uploads/" + std::string(250, 'a'), "/uploads/", key) == KeyVerdict::good);
    CHECK(key_from_path("/a", "/", key) == KeyVerdict::good);
}

TEST_CASE("key: names that belong to one content for ever", "[storage][key]") {
    for (const char* key :
         {"uploads/0e5a4b6c-1d2e-4f3a-8b7c-9d0e1f2a3b4c.jpg",
          "uploads/variants/2026/02/25/0e5a4b6c-1d2e-4f3a-8b7c-9d0e1f2a3b4c_small.webp"}) {
        CAPTURE(key);
        CHECK(is_uuid_named(key));
    }
    for (const char* key : {"uploads/a.jpg", "uploads/0e5a4b6c-1d2e-4f3a-8b7c-9d0e1f2a3b4c",
                            "uploads/0E5A4B6C-1D2E-4F3A-8B7C-9D0E1F2A3B4C.jpg",
                            "uploads/0e5a4b6c-1d2e-4f3a-8b7c-9d0e1f2a3b4cx.jpg",
                            "uploads/x0e5a4b6c-1d2e-4f3a-8b7c-9d0e1f2a3b4c.jpg",
                            "uploads/0e5a4b6c1d2e-4f3a-8b7c-9d0e1f2a3b4cff.jpg",
                            "uploads/0e5a4b6c-1d2e-4f3a-8b7c-9d0e1f2a3b4c.jpg/a.jpg", ""}) {
        CAPTURE(key);
        CHECK_FALSE(is_uuid_named(key));
    }
}
