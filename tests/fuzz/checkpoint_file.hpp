// A small checkpoint, as the program would write it, but without MPI.
#pragma once

#include <array>
#include <string>

#include "fuzz.hpp"
#include "pruntrain/io/checksum.hpp"
#include "pruntrain/io/h5_file.hpp"
#include "pruntrain/io/sealed_file.hpp"
#include "pruntrain/io/sparse_matrix_h5.hpp"
#include "pruntrain/run/history.hpp"

namespace pruntrain::fuzz {

/// Writes attributes, arrays and groups one by one through `to`: it has the functions of H5File, and may do otherwise.
template <class To>
void write_objects(To& to) {
    for (const char* name : {"step", "loss_samples", "best_step"}) to.set_attribute("/", name, index_t{1});
    for (const char* name :
         {"epoch", "seconds", "loss_sum", "train_seconds", "best_score", "sparsity", "validation_accuracy"})
        to.set_attribute("/", name, 1.0);
    to.set_attribute("/", "seed", std::uint64_t{1});
    to.set_attribute("/", "ranks", 1);
    for (const char* name : {"grid", "shard_cuts", "pattern_hash", "weights_hash", "execution", "program_version"})
        to.set_attribute("/", name, std::string("1"));
    to.write_text("config", "run: {name: a}\n");
    to.write_text("graph",
                  R"({"input_shape":[3,1,1],"nodes":[
{"name":"dense1","type":"dense","inputs":["input"],"keys":{"units":4},"input_shapes":[[3,1,1]],"output_shape":[2,1,1]},
{"name":"dense2","type":"dense","inputs":["dense1"],"keys":{},"input_shapes":[[2,1,1]],"output_shape":[2,1,1]}
],"output":"dense2"})");
    to.create_group("data");
    to.set_attribute("data", "mean", std::vector{0.0});
    to.set_attribute("data", "deviation", std::vector{1.0});
    for (const char* group :
         {"model", "model/dense1", "model/dense2", "model/dense2/weight", "optimizer", "optimizer/momentum",
          "optimizer/momentum/dense1", "optimizer/momentum/dense2", "history"})
        to.create_group(group);
    const std::vector<float> numbers{1, 2, 3, 4, 5, 6};
    const std::vector<index_t> two_by_three{2, 3}, six{6}, two{2}, three{3};
    to.write("model/dense1/weight", numbers, two_by_three);
    to.set_attribute("model/dense1/weight", "full_shape", std::vector<index_t>{4, 3});
    to.write("model/dense2/weight/pointers_to_1", std::vector<index_t>{0, 1, 2}, three);
    to.write("model/dense2/weight/indices_1", std::vector<std::int32_t>{2, 0}, two);
    to.write("model/dense2/weight/values", std::vector<float>{1, 2}, two);
    to.set_attribute("model/dense2/weight", "shape", two_by_three);
    to.set_attribute("model/dense2/weight", "tensor_shape", two_by_three);
    to.write("optimizer/momentum/dense1/weight", numbers, six);
    to.write("optimizer/momentum/dense2/weight", std::vector<float>{1, 2}, two);
    for (const auto& column : history_columns)
        to.write(std::string("history/") + column.name, std::vector<double>{1, 2}, two);
    to.create_group("layers");
    to.write("layers/kept", std::vector<index_t>{5, 2, -1, 2}, std::vector<index_t>{2, 2});
    to.write("layers/sparse", std::vector<std::int32_t>{0, 1, 0, 1}, std::vector<index_t>{2, 2});
}

/// Puts the seal on a file that HDF5 has written, whatever stands in it: a checksum keeps mistakes out, not enemies.
inline std::string sealed(std::string content) {
    content.resize(std::max<std::size_t>(content.size(), seal_bytes));
    const std::string lines = text("pruntrain checkpoint\nformat_version 3\nbytes ", content.size(), "\n");
    Checksum sum;
    sum.add(std::as_bytes(std::span(lines)));
    sum.add(std::as_bytes(std::span(content)).subspan(seal_bytes));
    std::string seal = lines + "xxh3_64 " + sum.digits() + "\n";
    seal.resize(seal_bytes);
    return seal + content.substr(seal_bytes);
}

}  // namespace pruntrain::fuzz
