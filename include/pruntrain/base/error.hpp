// Failing is one thing: wrong input is an InputError (exit status 2), all else is a fault (exit status 1).
#pragma once

#include <new>
#include <sstream>
#include <stdexcept>
#include <string>

namespace pruntrain {

/// What the user gave is wrong: a key, a file, a checkpoint, a rate that makes the loss infinite. The message says
/// what, the value, what is allowed and what to do. Thrown alike on every rank, so that no rank waits for another;
/// where one rank alone can see the mistake (a file on its node) Communicator::rethrow_collectively makes all throw.
class InputError : public std::runtime_error {
   public:
    using std::runtime_error::runtime_error;
};

/// Several values, one after the other, as one text.
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

/// What a fault says, also where the library's word for it says nothing.
inline std::string message_of(const std::exception& error) {
    if (dynamic_cast<const std::bad_alloc*>(&error) == nullptr) return error.what();
    return "not enough memory for this model and batch: use smaller layers, a smaller train.global_batch, fewer ranks "
           "on a node, or more parallel.model_shards";
}

}  // namespace pruntrain
