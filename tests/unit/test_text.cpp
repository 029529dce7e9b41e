#include <doctest/doctest.h>

#include <cmath>

#include "pruntrain/base/text.hpp"

using namespace pruntrain;

TEST_CASE("text: the nearest word") {
    const std::vector<std::string> words{"learning_rate", "momentum", "type"};
    CHECK(nearest("learningrate", words) == "learning_rate");
    CHECK(nearest("momentun", words) == "momentum");
    CHECK(nearest("zzzzzzzz", words).empty());
}

TEST_CASE("text: what is plain: UTF-8 of one line that a terminal may be shown") {
    for (const char* good : {"", "a b~", "größe", "\u00A0", "\uD7FF\uE000", "\U0001F600\U0010FFFF"})
        CHECK_MESSAGE(is_plain_text(good), good);
    for (const std::string_view bad :
         {std::string_view("a\0b", 3), std::string_view("\n"), std::string_view("\x1B[2J"), std::string_view("\x7F"),
          std::string_view("\u009B"),                                                      // a terminal's command too
          std::string_view("\xFF"), std::string_view("a\xC3"), std::string_view("\xC3z"),  // no letter, cut off twice
          std::string_view("\xC0\xAF"), std::string_view("\xE0\x80\xAF"),  // '/', longer than it need be
          std::string_view("\xED\xA0\x80"), std::string_view("\xF4\x90\x80\x80"), std::string_view("\x80")})
        CHECK_FALSE(is_plain_text(bad));
}

TEST_CASE("text: what a file holds is shown without what a terminal would obey") {
    CHECK(shown("größe") == "größe");
    CHECK(shown("\x1B[2Jgröße") == "?[2Jgr????e");
}

TEST_CASE("text: fields of CSV") {
    CHECK(csv_field("dense1") == "dense1");
    CHECK(csv_field("a,\"b\"") == "\"a,\"\"b\"\"\"");
}

TEST_CASE("text: numbers") {
    CHECK(exact(0.1) == "0.1");
    CHECK(exact(1e-5) == "1e-05");
    CHECK(std::stod(exact(1.0 / 3)) == 1.0 / 3);
    CHECK(fixed(0.89344, 4) == "0.8934");
    CHECK(fixed(-1.5e300, 4) == "-1.5000e+300");
    CHECK(fixed(std::numeric_limits<double>::max(), 12) == "1.797693134862e+308");
    CHECK(fixed(-INFINITY, 4) == "-inf");
    CHECK(grouped(0) == "0");
    CHECK(grouped(999) == "999");
    CHECK(grouped(1000) == "1,000");
    CHECK(grouped(-1234567) == "-1,234,567");
    CHECK(grouped(-123) == "-123");
    CHECK(bytes_text(1023) == "1023 B");
    CHECK(bytes_text(1536) == "1.5 KiB");
    CHECK(duration_text(59.2) == "59 s");
    CHECK(duration_text(200) == "3 min 20 s");
    CHECK(duration_text(7500) == "2 h 05 min");
    CHECK(duration_text(NAN) == "?");
    CHECK(hex(255) == "00000000000000ff");
}
