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
