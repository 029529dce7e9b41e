#include "pruntrain/model/weight_matrix.hpp"

#include <algorithm>

namespace pruntrain {

WeightMatrix::WeightMatrix(Block rows, Block columns, std::vector<index_t> tensor_shape, bool prunable,
                           Initializer initializer, index_t fan_in, index_t fan_out) {
    parameter_.name = "weight";
    parameter_.tensor_shape = std::move(tensor_shape);
    parameter_.pattern = Pattern(rows.size, columns.size);
    parameter_.first_row = rows.first;
    parameter_.first_column = columns.first;
    parameter_.prunable = prunable;
    parameter_.decayed = true;
    parameter_.initializer = initializer;
    parameter_.fan_in = fan_in;
    parameter_.fan_out = fan_out;
}

void WeightMatrix::execute(Execution execution) {
    if (execution == execution_) return;
    execution_ = execution;
    dense_ = {};
    rows_ = {};
    columns_ = {};
    dense_made_ = rows_made_ = columns_made_ = {};
}

const SparseEntries& WeightMatrix::row_plan(index_t width, const MakeRows& make) {
    const Made wanted = made_now(width);
    if (rows_made_ != wanted) {
        rows_ = {};  // freed first, so that two plans are never in memory
        rows_ = make(parameter_.pattern);
        rows_made_ = wanted;
    }
    return rows_;
}

std::span<const TransposedEntries> WeightMatrix::column_plans(index_t width, const MakeColumns& make) {
    const Made wanted = made_now(width);
    if (columns_made_ != wanted) {
        columns_.clear();
        columns_ = make(parameter_.pattern);
        columns_made_ = wanted;
    }
    for (auto& plan : columns_) plan.refresh(parameter_.value);
    return columns_;
}

const real* WeightMatrix::unpacked() {
    if (parameter_.pattern.full()) return parameter_.value.data();
    if (dense_made_ != made_now()) {
        dense_.assign(parameter_.pattern.dense_size(), real{0});
        dense_made_ = made_now();
    }
    parameter_.pattern.scatter(parameter_.value, dense_.data());
    return dense_.data();
}

const real* WeightMatrix::unpacked_by_forward() const {
    return parameter_.pattern.full() ? parameter_.value.data() : dense_.data();
}

real* WeightMatrix::gradient_scratch(std::span<real> packed, std::span<real> workspace) const {
    return parameter_.pattern.full() ? packed.data() : workspace.data();
}

void WeightMatrix::gather_gradient(const real* gradient, std::span<real> packed) const {
    if (!parameter_.pattern.full()) parameter_.pattern.gather(gradient, packed);
}

index_t WeightMatrix::workspace_size() const {
    return sparse() || !parameter_.prunable ? 0 : parameter_.pattern.dense_size();
}

std::size_t WeightMatrix::held_bytes() const {
    std::size_t bytes = dense_.size() * sizeof(real) + rows_.bytes();
    for (const auto& plan : columns_) bytes += plan.bytes();
    return bytes;
}

Parameter make_vector_parameter(std::string name, Block own, index_t size, Initializer initializer) {
    Parameter parameter;
    parameter.name = std::move(name);
    parameter.tensor_shape = {size};
    parameter.pattern = Pattern(own.size, 1);
    parameter.first_row = own.first;
    parameter.initializer = initializer;
    return parameter;
}

Bias::Bias(Block own, index_t size, Block outputs)
    : parameter_(make_vector_parameter("bias", own, size, Initializer::zeros)), before_(own.first - outputs.first) {
    if (outputs.size > own.size) of_outputs_.resize(outputs.size);
}

bool Bias::add(std::span<const double> constants) {
    for (std::size_t o = 0; o < parameter_.value.size(); ++o) parameter_.value[o] += static_cast<real>(constants[o]);
    return given();
}

std::span<const real> Bias::values() {
    if (of_outputs_.empty()) return parameter_.value;
    std::ranges::fill(of_outputs_, real{0});
    std::ranges::copy(parameter_.value, of_outputs_.begin() + before_);
    return of_outputs_;
}

std::span<real> Bias::gradient_scratch(Gradients gradients) {
    if (!given()) return {};
    return of_outputs_.empty() ? gradients[1] : std::span(of_outputs_);
}

void Bias::gather_gradient(Gradients gradients) const {
    if (!of_outputs_.empty()) std::copy_n(of_outputs_.begin() + before_, gradients[1].size(), gradients[1].begin());
}

}  // namespace pruntrain
