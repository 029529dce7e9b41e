// A layer does not fit the shape of its input.
#pragma once

#include "pruntrain/base/error.hpp"

namespace pruntrain {

/// Wrong input that may come from the data as well as from the model: who knows the data adds their shape.
class ShapeError : public InputError {
   public:
    using InputError::InputError;
};

}  // namespace pruntrain
