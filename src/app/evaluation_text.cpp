#include "pruntrain/app/evaluation_text.hpp"

#include <cmath>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

std::string evaluation_text(const Evaluation& evaluation, const std::string& split) {
    return text("split     ", split, ", ", evaluation.samples, " samples\nloss      ", exact(evaluation.loss), "\n",
                std::isnan(evaluation.accuracy) ? "" : text("accuracy  ", exact(evaluation.accuracy), "\n"));
}

}  // namespace pruntrain
