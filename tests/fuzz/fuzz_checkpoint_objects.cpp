// What stands in a checkpoint: a file with a good seal, of which HDF5 has written every byte, but with objects that are
// missing, of other types, other shapes and other values, or that announce far more than there is.
#include "checkpoint_file.hpp"
#include "h5_objects.hpp"
#include "pruntrain/run/checkpoint.hpp"

using namespace pruntrain;

namespace {

/// Writes all objects but two as they should be: a reader stops at the first that is wrong.
struct Changing {
    H5File file;
    FuzzedDataProvider& dice;
    std::vector<std::string> paths{};
    std::array<int, 2> changed{draw(), draw()};
    int written = 0;

    int draw() { return dice.ConsumeIntegralInRange(0, 80); }  // there are some 60, and 0 is none
    bool changes() {
        ++written;
        return written == changed[0] || written == changed[1];
    }

    void create_group(const std::string& path) {
        paths.push_back(path);
        if (changes()) return;
        fuzz::accepted([&] { file.create_group(path); });
    }
    void write_text(const std::string& path, const std::string& value) {
        paths.push_back(path);
        fuzz::accepted([&] { file.write_text(path, changes() ? dice.ConsumeRandomLengthString(100) : value); });
    }
    template <class T>
    void set_attribute(const std::string& path, const std::string& name, const T& value) {
        fuzz::accepted([&] {
            if (!changes()) return file.set_attribute(path, name, value);
            const auto number = dice.ConsumeIntegral<index_t>();
            switch (dice.ConsumeIntegralInRange(0, 5)) {
                case 0:
                    return;
                case 1:
                    return file.set_attribute(path, name, static_cast<double>(number));
                case 2:
                    return file.set_attribute(path, name, number);
                case 3:
                    return file.set_attribute(path, name, dice.ConsumeRandomLengthString(100));
                case 4:
                    return file.set_attribute(path, name, std::vector<double>(number & 15, 1.0));
                default:
                    return file.set_attribute(path, name, sizes());
            }
        });
    }
    template <class T>
    void write(const std::string& path, const std::vector<T>& values, const std::vector<index_t>& shape) {
        paths.push_back(path);
        fuzz::accepted([&] {
            if (!changes()) return file.write<T>(path, values, shape);
            const std::vector<index_t> others = sizes();
            const std::array length{static_cast<index_t>(others.size())};
            switch (dice.ConsumeIntegralInRange(0, 4)) {
                case 0:
                    return;
                case 1:
                    return file.write<index_t>(path, others, length);
                case 2:
                    return file.write<double>(path, std::vector<double>(others.begin(), others.end()), length);
                case 3:
                    return file.write<T>(path, std::vector<T>(others.begin(), others.end()), length);
                default:
                    return file.write<T>(path, std::vector<T>(values.size(), static_cast<T>(others.size())), shape);
            }
        });
    }

   private:
    std::vector<index_t> sizes() {
        std::vector<index_t> sizes(dice.ConsumeIntegralInRange<std::size_t>(0, 6));
        for (auto& size : sizes)
            size =
                dice.ConsumeBool() ? dice.ConsumeIntegralInRange<index_t>(-1, 9) : dice.ConsumeIntegral<std::int32_t>();
        return sizes;
    }
};

void replace_objects(const std::vector<std::string>& paths, FuzzedDataProvider& dice) {
    const hid_t file = H5Fopen(fuzz::file_for_input().c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    for (int count = dice.ConsumeIntegralInRange(0, 3); count > 0; --count) {
        const std::string& path = paths[dice.ConsumeIntegralInRange<std::size_t>(0, paths.size() - 1)];
        if (dice.ConsumeIntegralInRange(0, 7) < 7) H5Ldelete(file, path.c_str(), H5P_DEFAULT);
        const std::string& target = paths[dice.ConsumeIntegralInRange<std::size_t>(0, paths.size() - 1)];
        if (dice.ConsumeIntegralInRange(0, 7) < 6) fuzz::add_any_dataset(file, path, dice);
        else if (dice.ConsumeBool()) H5Lcreate_soft(target.c_str(), file, path.c_str(), H5P_DEFAULT, H5P_DEFAULT);
        else H5Lcreate_hard(file, target.c_str(), file, path.c_str(), H5P_DEFAULT, H5P_DEFAULT);
    }
    H5Fclose(file);
}

/// What a rank does after the root has looked at a file.
void read_parts(const CheckpointSummary& summary) {
    const H5File file = H5File::open(fuzz::file_for_input());
    for (const auto& layer : file.names("model"))
        for (const auto& name : file.names("model/" + layer)) {
            const std::string path = "model/" + layer + "/" + name;
            const StoredTensor tensor = read_tensor(file, path);
            const index_t rows = tensor.pattern.rows(), columns = tensor.pattern.columns();
            for (const index_t first : {index_t{0}, rows / 2}) {
                const StoredPart part =
                    read_tensor_part(file, path, first, rows - first, columns / 2, columns - columns / 2);
                std::vector<real> values(static_cast<std::size_t>(part.pattern.kept()));
                read_part(file, path, part.pattern, part.place, values);
            }
        }
    fuzz::require(summary.file_bytes == std::filesystem::file_size(fuzz::file_for_input()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    FuzzedDataProvider dice(data, size);
    {
        Changing changing{H5File::create(fuzz::file_for_input(), seal_bytes), dice};
        fuzz::write_objects(changing);
        changing.file.close();
        replace_objects(changing.paths, dice);
    }
    put_content(fuzz::file_for_input(), fuzz::sealed(content_of(fuzz::file_for_input())));
    fuzz::accepted([&] { read_parts(inspect_checkpoint(fuzz::file_for_input())); });
    return 0;
}
