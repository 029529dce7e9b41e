// Bytes of a checkpoint: some are replaced, or the file is cut. As it is then, the seal must not let it pass; with a
// new seal HDF5 sees it, and what HDF5 says must come out as a refusal. In the format that the program writes, HDF5 has
// its own checksums over all that it says of itself, so that it hardly ever gets as far as its own faults with hostile
// files; those that need such a checksum made right, too, are not looked for here. What our code reads behind HDF5 is
// the matter of fuzz_checkpoint_objects.
#include <fuzzer/FuzzedDataProvider.h>

#include "checkpoint_file.hpp"
#include "pruntrain/run/checkpoint.hpp"

using namespace pruntrain;

namespace {

struct Plain {
    H5File file;
    void create_group(const std::string& path) { file.create_group(path); }
    void write_text(const std::string& path, const std::string& value) { file.write_text(path, value); }
    template <class T>
    void set_attribute(const std::string& path, const std::string& name, const T& value) {
        file.set_attribute(path, name, value);
    }
    template <class T>
    void write(const std::string& path, const std::vector<T>& values, const std::vector<index_t>& shape) {
        file.write<T>(path, values, shape);
    }
};

std::string good_checkpoint() {
    Plain plain{H5File::create(fuzz::file_for_input(), seal_bytes)};
    fuzz::write_objects(plain);
    plain.file.close();
    const std::string content = fuzz::sealed(content_of(fuzz::file_for_input()));
    put_content(fuzz::file_for_input(), content);
    inspect_checkpoint(fuzz::file_for_input());
    return content;
}

bool passes(const std::string& content) {
    put_content(fuzz::file_for_input(), content);
    return fuzz::accepted([] { inspect_checkpoint(fuzz::file_for_input()); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::string good = good_checkpoint();
    FuzzedDataProvider dice(data, size);
    std::string changed = good;
    if (dice.ConsumeIntegralInRange(0, 7) == 7)
        changed.resize(dice.ConsumeIntegralInRange<std::size_t>(0, good.size()));
    while (dice.remaining_bytes() > 0 && !changed.empty()) {
        const auto offset = dice.ConsumeIntegralInRange<std::size_t>(0, changed.size() - 1);
        const auto bytes = dice.ConsumeBytesAsString(dice.ConsumeIntegralInRange<std::size_t>(1, 8));
        changed.replace(offset, std::min(bytes.size(), changed.size() - offset), bytes, 0,
                        std::min(bytes.size(), changed.size() - offset));
    }
    fuzz::require(passes(changed) == (changed == good));
    passes(fuzz::sealed(changed));
    return 0;
}
