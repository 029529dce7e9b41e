// HDF5 calls that throw. Included only by the HDF5 readers and writers of this folder.
#pragma once

#include <hdf5.h>

#include <string>
#include <utility>

#include "pruntrain/base/error.hpp"

namespace pruntrain::h5 {

/// HDF5's account of the last failure, its own word and the innermost cause: "can't open object: object 'w' doesn't
/// exist".
std::string reason();

/// Failures are thrown, not printed as well. To be called before the first call that may fail.
inline void silence() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

/// What an HDF5 call returned. @throws std::runtime_error "PART: REASON" if that is negative
template <class Result>
Result check(Result result, const std::string& part) {
    if (result < 0) fault(part, ": ", reason());
    return result;
}

/// Owns an HDF5 identifier.
class Handle {
   public:
    using Close = herr_t (*)(hid_t);

    Handle(hid_t id, Close close, const std::string& part) : id_(check(id, part)), close_(close) {}
    Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
    Handle& operator=(Handle&&) = delete;
    ~Handle() {
        if (id_ >= 0) close_(id_);
    }

    operator hid_t() const { return id_; }
    /// For what is lost if closing fails.
    void close(const std::string& part) { check(close_(std::exchange(id_, H5I_INVALID_HID)), part); }

   private:
    hid_t id_;
    Close close_;
};

}  // namespace pruntrain::h5
