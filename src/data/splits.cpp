#include "pruntrain/data/splits.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

constexpr std::size_t most_classes = 10000;  // more different targets are no classes

double read_samples(const Config& section, const char* key, const std::string& meaning) {
    const double wanted = section.number(key, 0.0, at_least(0), meaning);
    if (wanted >= 1 && wanted != std::floor(wanted))
        input_error(section.place_of(key), " is ", exact(wanted),
                    ": allowed are whole numbers of samples, and shares below 1");
    return wanted;
}

/// `total` samples in proportion to the classes' sizes, by the largest remainder; of equal ones the first class.
std::vector<index_t> quotas(const std::vector<index_t>& sizes, index_t total) {
    const index_t all = std::accumulate(sizes.begin(), sizes.end(), index_t{0});
    std::vector<index_t> quota, remainder, order(sizes.size());
    for (const index_t size : sizes) {
        quota.push_back(all == 0 ? 0 : size * total / all);
        remainder.push_back(all == 0 ? 0 : size * total % all);
    }
    std::iota(order.begin(), order.end(), index_t{0});
    std::ranges::stable_sort(order, [&](index_t a, index_t b) { return remainder[a] > remainder[b]; });
    index_t left = total - std::accumulate(quota.begin(), quota.end(), index_t{0});
    for (auto one = order.begin(); left > 0; ++one, --left) ++quota[*one];
    return quota;
}

}  // namespace

Splits::Splits(const Config& section) {
    validation_ = read_samples(section, "validation_samples",
                               "number of training samples held out for validation; below 1: their share, as 0.1");
    test_ = read_samples(section, "test_samples",
                         "number of training samples held out as the test set, if there is no test file; below 1: "
                         "their share");
    seed_ = static_cast<std::uint64_t>(section.integer(
        "split_seed", 0, at_least(0), "seed of the random split into training, validation and test samples"));
    stratified_ = section.flag("stratified", false,
                               "true: the held-out samples have the classes in the proportions of the training files");
}

index_t Splits::count_of(double wanted, index_t train_files) const {
    constexpr double most = 1LL << 53;
    if (wanted == 0 || wanted >= 1) return static_cast<index_t>(std::min(wanted, most));
    return std::max(index_t{1}, static_cast<index_t>(std::llround(wanted * static_cast<double>(train_files))));
}

void Splits::set_sizes(index_t train_files, index_t test_files) {
    test_files_ = test_files > 0;
    if (train_files == 0) {
        samples_ = {0, 0, test_files};
        return;
    }
    const index_t validation = count_of(validation_, train_files), test = count_of(test_, train_files);
    if (test_files_ && test > 0)
        input_error("data.test_samples is ", exact(test_), ", but there are test files with ", test_files,
                    " samples: set it to 0, or name no test files");
    if (validation >= train_files || test >= train_files - validation)
        input_error("data.validation_samples is ", exact(validation_), " and data.test_samples is ", exact(test_),
                    ": no training samples are left, as the training files hold ", train_files, " samples");
    const index_t kept_back = validation + test;
    samples_ = {train_files - kept_back, validation, test_files_ ? test_files : test};
    if (kept_back > 0) order_.emplace(train_files, RandomStream(seed_, Purpose::split));
}

void Splits::stratify(std::span<const float> targets, index_t target_width) {
    if (!order_) return;
    const index_t all = order_->size();
    std::map<std::vector<float>, std::size_t> numbers;  // of the classes, ordered by their targets
    const auto row = [&](index_t n) {
        const auto begin = targets.begin() + n * target_width;
        return std::vector<float>(begin, begin + target_width);
    };
    for (index_t n = 0; n < all && numbers.size() <= most_classes; ++n) numbers.emplace(row(n), 0);
    if (numbers.size() > most_classes || 2 * std::ssize(numbers) > all)
        input_error("data.stratified is true, but the ", all, " training samples have ",
                    numbers.size() > most_classes ? "more than " : "", std::min(numbers.size(), most_classes),
                    " different targets: allowed are class labels; set it to "
                    "false");
    std::size_t count = 0;
    for (auto& [target, number] : numbers) number = count++;

    std::vector<std::uint32_t> classes;
    std::vector<index_t> sizes(count);
    for (index_t n = 0; n < all; ++n) {
        classes.push_back(static_cast<std::uint32_t>(numbers[row(n)]));
        ++sizes[classes.back()];
    }
    const index_t test = test_files_ ? 0 : samples(Split::test);
    std::vector<index_t> for_validation = quotas(sizes, samples(Split::validation));
    for (std::size_t i = 0; i < count; ++i) sizes[i] -= for_validation[i];
    std::vector<index_t> for_test = quotas(sizes, test);
    std::array<std::vector<std::uint32_t>, 3> members;
    for (index_t n = 0; n < all; ++n) {
        const index_t place = (*order_)(n);
        const std::uint32_t own = classes[place];
        const std::size_t split = for_validation[own] > 0 ? 1 : for_test[own] > 0 ? 2 : 0;
        if (split > 0) --(split == 1 ? for_validation : for_test)[own];
        members[split].push_back(static_cast<std::uint32_t>(place));
    }
    for (const auto& of_split : members) moved_.insert(moved_.end(), of_split.begin(), of_split.end());
}

index_t Splits::position(Split split, index_t sample) const {
    if (!in_train_files(split) || !order_) return sample;
    if (split != Split::train) sample += samples(Split::train);
    if (split == Split::test) sample += samples(Split::validation);
    return moved_.empty() ? (*order_)(sample) : static_cast<index_t>(moved_[sample]);
}

}  // namespace pruntrain
