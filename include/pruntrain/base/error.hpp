// Errors: wrong input is an InputError (exit status 2), everything else is a fault (exit status 1).
#pragma once

#include <new>
#include <sstream>
#include <stdexcept>
#include <string>

namespace pruntrain {

/// The user's input is wrong: a key, a file, a checkpoint, a rate that makes the loss infinite. The message says what
/// is wrong, the value, what is allowed and what to do. All ranks throw it, so that no rank waits for another. If a
/// single rank finds the error (a file on its node), Communicator::rethrow_collectively makes all ranks throw.
class InputError : public std::runtime_error {
   public:
    using std::runtime_error::runtime_error;
};

/// Concatenates several values to one text.
template <class... Parts>
std::string text(const Parts&... parts) {
    std::ostringstream out;
    (out << ... << parts);
    return out.str();
}

template <class... Parts>
[[noreturn]] void input_error(const Parts&... parts) {
    throw InputError(text(parts...));
}

/// A fault of the program or the machine, not of the user.
template <class... Parts>
[[noreturn]] void fault(const Parts&... parts) {
    throw std::runtime_error(text(parts...));
}

/// The message of an error; replaces the library's message where it is not informative.
inline std::string message_of(const std::exception& error) {
    if (dynamic_cast<const std::bad_alloc*>(&error) == nullptr) return error.what();
    return "not enough memory for this model and batch: use smaller layers, a smaller train.global_batch, fewer ranks "
           "on a node, or more parallel.model_shards";
}

}  // namespace pruntrain
