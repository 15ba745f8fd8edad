#include "proxy/upload/part_head.h"

#include <string>
#include <string_view>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::upload;

namespace {

Result<PartHead> head_of(std::string_view disposition) {
    return read_part_head("Content-Disposition: " + std::string(disposition) + "\r\n\r\n");
}

void check_file_name(std::string_view parameters, std::string_view expected) {
    CAPTURE(parameters);
    const auto head = head_of("form-data; name=\"file\"; " + std::string(parameters));
    REQUIRE(head);
    CHECK(head->name == "file");
    CHECK(head->file_name == expected);
}

void check_refused(std::string_view lines) {
    CAPTURE(lines);
    const auto head = read_part_head(lines);
    REQUIRE_FALSE(head);
    CHECK(head.error().kind == ErrorKind::invalid);
    CHECK_FALSE(head.error().text.empty());
}

}  // namespace

TEST_CASE("part head: boundaries of a content type", "[upload][multipart]") {
    struct Case {
        const char* content_type;
        const char* boundary;
    };
    const std::string longest(70, 'x');
    const std::string with_longest = "multipart/form-data; boundary=" + longest;
    for (const Case& each : std::initializer_list<Case>{
             {"multipart/form-data; boundary=abc", "abc"},
             {"multipart/form-data;boundary=abc", "abc"},
             {"  multipart/form-data ; boundary=abc  ", "abc"},
             {"Multipart/Form-Data; BOUNDARY=aBc", "aBc"},
             {"multipart/form-data; charset=utf-8; boundary=abc", "abc"},
             {"multipart/form-data; boundary=abc; charset=\"utf-8\"", "abc"},
             {"multipart/form-data; boundary=\"a b'()+_,-./:=?\"", "a b'()+_,-./:=?"},
             {"multipart/form-data; boundary=\"abc\";", "abc"},
             {"multipart/form-data;; boundary=abc;;", "abc"},
             {"multipart/form-data; boundary=----WebKitFormBoundaryE19zNvXGzXaLvS5C",
              "----WebKitFormBoundaryE19zNvXGzXaLvS5C"},
             {"multipart/form-data; boundary=---------------------------9051914041544843365972754",
              "---------------------------9051914041544843365972754"},
             {with_longest.c_str(), longest.c_str()}}) {
        CAPTURE(each.content_type);
        CHECK(boundary_of(each.content_type) == std::string(each.boundary));
    }
}

TEST_CASE("part head: content types without a boundary", "[upload][multipart]") {
    const std::string too_long = "multipart/form-data; boundary=" + std::string(71, 'x');
    for (const char* content_type : {"",
                                     "multipart/form-data",
                                     "multipart/form-data;",
                                     "multipart/form-data; boundary",
                                     "multipart/form-data; boundary=",
                                     "multipart/form-data; boundary=\"\"",
                                     "multipart/form-data; boundary=\"abc",
                                     "multipart/form-data; boundary=\"abc \"",
                                     "multipart/form-data; boundary=a b",
                                     "multipart/form-data; boundary=a\"b",
                                     "multipart/form-data; boundary=\"a\"b",
                                     "multipart/form-data; boundary=\"a\r\nb\"",
                                     "multipart/form-data; boundary=\"a\\\"b\"",
                                     "multipart/form-data; boundary=\"\xC3\xA4\"",
                                     "multipart/form-data; boundary=a; boundary=b",
                                     "multipart/form-data; boundary =a",
                                     "multipart/form-data; boundary= a",
                                     "multipart/form-data boundary=a",
                                     "multipart/form-data, boundary=a",
                                     "multipart/form-datas; boundary=a",
                                     "multipart/mixed; boundary=a",
                                     "application/x-www-form-urlencoded; boundary=a",
                                     "form-data; boundary=a",
                                     "multipart/form-data; \"boundary\"=a",
                                     too_long.c_str()}) {
        CAPTURE(content_type);
        CHECK_FALSE(boundary_of(content_type));
    }
}

TEST_CASE("part head: a field of text", "[upload][multipart]") {
    CHECK(*head_of("form-data; name=\"token\"") == PartHead{"token", {}, ""});
    CHECK(*head_of("form-data; name=token") == PartHead{"token", {}, ""});
    CHECK(*head_of("Form-Data;NAME=token;") == PartHead{"token", {}, ""});
    CHECK(*head_of("form-data; name=\"\"") == PartHead{"", {}, ""});
    CHECK(*head_of("form-data; name=\"a; filename=b\"") == PartHead{"a; filename=b", {}, ""});
    CHECK(*head_of("form-data; name=\"a%22b\"") == PartHead{"a\"b", {}, ""});
    CHECK(*head_of("form-data; name=\"a\\\"b\\\\c\"") == PartHead{"a\"b\\c", {}, ""});
    CHECK(*head_of("form-data; name=\"\xC3\xA4\"; size=5") == PartHead{"\xC3\xA4", {}, ""});
}

TEST_CASE("part head: a file, as clients send it", "[upload][multipart]") {
    CHECK(*read_part_head("Content-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n"
                          "Content-Type: image/png\r\n\r\n") ==
          PartHead{"file", "a.png", "image/png"});
    CHECK(*read_part_head("content-type:image/png ; x=y \r\nX-Other: 1\r\n"
                          "CONTENT-DISPOSITION:form-data;name=file;filename=a.png\r\n"
                          "Content-Length: 5\r\nContent-Transfer-Encoding: BINARY\r\n\r\n") ==
          PartHead{"file", "a.png", "image/png ; x=y"});
}

TEST_CASE("part head: file names", "[upload][multipart]") {
    check_file_name("filename=\"\"", "");  // a browser, where no file was chosen
    check_file_name("filename=photo.jpg", "photo.jpg");
    check_file_name("filename=\"my photo (1).jpg\"", "my photo (1).jpg");
    check_file_name("filename=\"a;b.jpg\"", "a;b.jpg");
    check_file_name("FILENAME=\"a.jpg\"", "a.jpg");
    check_file_name("filename=\"\xE2\x82\xAC.jpg\"", "\xE2\x82\xAC.jpg");
    // Quotes: as RFC 7578 and as browsers have them.
    check_file_name(R"(filename="a\"b.jpg")", "a\"b.jpg");
    check_file_name("filename=\"a%22b.jpg\"", "a\"b.jpg");
    check_file_name("filename=\"%22%22\"", "\"\"");
    // What else browsers escape, and what looks so, stays.
    check_file_name("filename=\"a%0D%0Ab%20%2.jpg\"", "a%0D%0Ab%20%2.jpg");
    check_file_name("filename=\"100%.jpg\"", "100%.jpg");
}

TEST_CASE("part head: of a path only the last component counts", "[upload][multipart]") {
    check_file_name("filename=\"/etc/passwd\"", "passwd");
    check_file_name("filename=\"../../a.jpg\"", "a.jpg");
    check_file_name(R"(filename="C:\Users\me\a.jpg")", "a.jpg");     // nothing escaped
    check_file_name(R"(filename="C:\\Users\\me\\a.jpg")", "a.jpg");  // all escaped
    check_file_name(R"(filename="a\\b/c\\d.jpg")", "d.jpg");
    check_file_name("filename=\"folder/\"", "");
    check_file_name("filename*=UTF-8''%2Fetc%2Fpasswd", "passwd");
    check_file_name("filename*=UTF-8''a%5Cb.jpg", "b.jpg");
}

TEST_CASE("part head: the extended file name counts more", "[upload][multipart]") {
    check_file_name("filename*=UTF-8''%e2%82%AC%20rates.jpg", "\xE2\x82\xAC rates.jpg");
    check_file_name("filename*=utf-8'en'a.jpg", "a.jpg");
    check_file_name("filename*=UTF-8''", "");
    check_file_name("filename=\"old.jpg\"; filename*=UTF-8''new.jpg", "new.jpg");
    check_file_name("filename*=UTF-8''new.jpg; filename=\"old.jpg\"", "new.jpg");
    check_file_name("filename*=UTF-8''a%2522.jpg", "a%22.jpg");  // is decoded once
    check_file_name("filename=\"=?utf-8?B?w6QuanBn?=\"; filename*=utf-8''%C3%A4.jpg",
                    "\xC3\xA4.jpg");
}

TEST_CASE("part head: extended file names that are none", "[upload][multipart]") {
    for (const std::string_view value :
         {"", "a.jpg", "UTF-8'a.jpg", "UTF-8", "''a.jpg", "ISO-8859-1''a.jpg", "UTF-8''a%2",
          "UTF-8''a%", "UTF-8''%GG", "UTF-8''a'b", "UTF-8''a*b", "\"UTF-8''a.jpg\"",
          "UTF-8''\xC3\xA4", "UTF-8''%FF.jpg", "UTF-8''%C3.jpg", "UTF-8''%ED%A0%80",
          "UTF-8''a%00.jpg", "UTF-8''a%0D%0Ab", "UTF-8''a b"}) {
        CAPTURE(value);
        const auto head =
            head_of("form-data; name=f; filename=\"a.jpg\"; filename*=" + std::string(value));
        CHECK_FALSE(head);
    }
}

TEST_CASE("part head: what is refused", "[upload][multipart]") {
    const std::string good = "Content-Disposition: form-data; name=\"a\"\r\n";
    REQUIRE(read_part_head(good + "\r\n"));
    check_refused("");
    check_refused("\r\n");
    check_refused("Content-Type: text/plain\r\n\r\n");
    check_refused(good);
    check_refused(good + good + "\r\n");
    check_refused(good + "Content-Type: a/b\r\nContent-Type: a/b\r\n\r\n");
    check_refused(good + "Content-Transfer-Encoding: base64\r\n\r\n");
    check_refused(good + "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
    check_refused(good + "no colon\r\n\r\n");
    check_refused(good + ": no name\r\n\r\n");
    check_refused(good + "Blank : before the colon\r\n\r\n");
    check_refused(good + " folded: line\r\n\r\n");
    check_refused(good + "\tfolded\r\n\r\n");
    check_refused(good + "X: a\rb\r\n\r\n");
    check_refused(good + "X: a\nb\r\n\r\n");
    check_refused(good + std::string("X: a\0b\r\n\r\n", 10));
    check_refused(good + "X: \xFF\r\n\r\n");
    for (const std::string_view disposition :
         {"",
          "form-data",
          "form-data;",
          "attachment; name=\"a\"",
          "form-data name=\"a\"",
          "form-data; name",
          "form-data; name=",
          "form-data; name=\"a",
          "form-data; name=\"a\\\"",
          "form-data; name=\"a\"b",
          "form-data; name=a b",
          "form-data; name=\"a\", filename=\"b\"",
          "form-data; name=\"a\"; name=\"b\"",
          "form-data; name=\"a\"; NAME=\"b\"",
          "form-data; name=\"a\"; filename=\"b\"; filename=\"c\"",
          "form-data; filename=\"b\"",
          "form-data; name*=UTF-8''a",
          "form-data; name=\"\xC3\"",
          "form-data; =\"a\"",
          "form-data; name=\"a\"; filename=\"\xED\xA0\x80\"",
          "form-data; name =\"a\"",
          "form-data; name= \"a\"",
          "form-data; name=\"a\"; filename=a/b.jpg"}) {
        check_refused("Content-Disposition: " + std::string(disposition) + "\r\n\r\n");
    }
}
