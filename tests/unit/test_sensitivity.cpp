#include <doctest/doctest.h>

#include "pruntrain/app/sensitivity.hpp"

using namespace pruntrain;

TEST_CASE("sensitivity: names of layers are quoted where the table and the allocation need it") {
    const std::vector<std::string> names{"dense1", "a,\"b\"", "it's:{}"};
    Sensitivity sensitivity{.whole = {.samples = 1, .loss = 1, .accuracy = 1}, .points = {}};
    for (const auto& name : names)
        sensitivity.points.push_back(
            {.layer = name, .sparsity = 0.5, .size = 2, .kept = 1, .loss = 1, .accuracy = 1, .drop = 0});
    CHECK(sensitivity_csv(sensitivity) ==
          "layer,sparsity,density,loss,accuracy,drop\n"
          "dense1,0.5,0.5,1,1,0\n"
          "\"a,\"\"b\"\"\",0.5,0.5,1,1,0\n"
          "it's:{},0.5,0.5,1,1,0\n");
    const Config prune = Config::parse(*allocation_yaml(sensitivity, 0), "test.yaml", {});
    const Config table = prune.section("allocation").section("sparsity");
    CHECK(table.keys() == names);
    for (const auto& name : names) CHECK(table.number(name, std::nullopt, {}, "") == 0.5);
}
