#include "pruntrain/app/inspect_text.hpp"

#include <sstream>

#include "pruntrain/base/table.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

std::string inspect_text(const CheckpointSummary& summary, const std::string& file) {
    Rows rows{{"tensor", "shape", "kept", "of", "density", "stored", "bytes"}};
    index_t kept = 0, size = 0;
    for (const auto& tensor : summary.tensors) {
        rows.push_back({tensor.name, shape_text(tensor.shape, tensor.full_shape), grouped(tensor.kept),
                        grouped(tensor.full_size), density_text(tensor.kept, tensor.full_size),
                        tensor.sparse ? "sparse" : "dense", grouped(static_cast<index_t>(tensor.bytes))});
        kept += tensor.kept;
        size += tensor.full_size;
    }
    const RunState& state = summary.state;
    const auto named = [](const char* what, const std::vector<std::string>& names) {
        constexpr std::size_t most = 20;
        return names.empty() ? "" : text(what, names.size(), ": ", join_some(names, most), "\n");
    };
    std::ostringstream out;
    out << file << ": " << bytes_text(static_cast<double>(summary.file_bytes)) << ", written by pruntrain "
        << summary.program_version << "\n\n"
        << table(rows) << "\n"
        << "  step                 " << state.updates() << " (epoch " << fixed(state.epoch, 2) << ")\n"
        << "  sparsity             " << exact(state.sparsity) << "\n"
        << "  numbers              " << grouped(kept) << " kept of " << grouped(size) << "\n"
        << "  validation accuracy  " << number_or_dash(state.validation_accuracy, 4) << "\n"
        << named("  classes              ", state.class_names) << named("  inputs               ", state.input_names)
        << "  optimizer slots      " << (summary.slots.empty() ? "none" : join(summary.slots)) << "\n"
        << "  written on           " << state.ranks << (state.ranks == 1 ? " rank" : " ranks") << " (grid "
        << state.grid << "), seed " << state.seed << "\n"
        << "  pattern_hash         " << state.pattern_hash << "\n"
        << "  weights_hash         " << state.weights_hash << "\n"
        << "  checksums            " << summary.verified << " verified, all good\n";
    return out.str();
}

}  // namespace pruntrain
