#include "pruntrain/app/evaluation_text.hpp"

#include <algorithm>
#include <cmath>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/table.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

std::string evaluation_text(const Evaluation& evaluation, const std::string& split) {
    return text("split     ", split, ", ", evaluation.samples, " samples\nloss      ", exact(evaluation.loss), "\n",
                std::isnan(evaluation.accuracy) ? "" : text("accuracy  ", exact(evaluation.accuracy), "\n"));
}

std::string metrics_text(const Metrics& metrics, const std::vector<std::string>& labels) {
    if (metrics.classes() == 0)
        return text("R2        ", number_or_dash(metrics.r2(), 6), "\nmean absolute error  ",
                    exact(metrics.mean_absolute_error()), "\n");
    constexpr index_t most_rows = 100, least_for_top_5 = 10;
    Rows rows{{"label", "samples", "precision", "recall", "F1"}};
    double sum = 0;
    index_t with_f1 = 0;
    for (index_t one = 0; one < metrics.classes(); ++one) {
        const double f1 = metrics.f1(one);
        if (!std::isnan(f1)) {
            sum += f1;
            ++with_f1;
        }
        if (one < most_rows)
            rows.push_back({labels[one], grouped(metrics.of_class(one)), number_or_dash(metrics.precision(one), 4),
                            number_or_dash(metrics.recall(one), 4), number_or_dash(f1, 4)});
    }
    const index_t hidden = metrics.classes() - std::min(metrics.classes(), most_rows);
    return text(metrics.classes() >= least_for_top_5 ? text("top-5 accuracy  ", exact(metrics.top_5()), "\n") : "",
                "mean F1   ", number_or_dash(sum / static_cast<double>(with_f1), 4), "\n\n", table(rows),
                hidden > 0 ? text("  and ", grouped(hidden), " more classes: --confusion writes all\n") : "");
}

std::string confusion_csv(const Metrics& metrics, const std::vector<std::string>& labels) {
    std::string csv = "label";
    for (const auto& label : labels) csv += "," + csv_field(label);
    csv += "\n";
    for (index_t actual = 0; actual < metrics.classes(); ++actual) {
        csv += csv_field(labels[actual]);
        for (index_t predicted = 0; predicted < metrics.classes(); ++predicted)
            csv += text(",", metrics.count(actual, predicted));
        csv += "\n";
    }
    return csv;
}

}  // namespace pruntrain
