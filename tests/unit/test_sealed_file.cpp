#include <doctest/doctest.h>

#include "../support/temporary_folder.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/io/sealed_file.hpp"

using namespace pruntrain;
namespace fs = std::filesystem;

namespace {

constexpr FileKind kind{"test file", 2};

void accept(const fs::path&) {}

void publish(const std::string& content, const fs::path& path,
             const std::function<void(const fs::path&)>& verify = accept, const FileKind& of = kind) {
    const MemoryFile memory;
    put_content(memory.path(), std::string(seal_bytes, '\0') + content);
    publish_sealed(memory, path, of, verify);
}

template <class Error, class Work>
std::string message_of(Work&& work) {
    try {
        work();
    } catch (const Error& error) {
        return error.what();
    }
    return "nothing was thrown";
}

std::string verdict(const fs::path& path) {
    return message_of<InputError>([&] { verify_seal(path, kind); });
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("sealed_file: content of any length stands behind the seal") {
    const TemporaryFolder folder;
    for (const std::size_t size : {0, 1, 1 << 20, (1 << 20) + 1, 3'000'000}) {
        std::string content(size, 'x');
        for (std::size_t i = 0; i < size; i += 1000) content[i] = static_cast<char>(i / 1000);
        bool seen = false;
        publish(content, folder / "a", [&](const fs::path& written) {
            CHECK(written == folder / "a.tmp");
            verify_seal(written, kind);
            seen = true;
        });
        CHECK(seen);
        const std::string file = content_of(folder / "a");
        CHECK(file.substr(seal_bytes) == content);
        CHECK(file.rfind(text("test file\nformat_version 2\nbytes ", seal_bytes + size, "\nxxh3_64 "), 0) == 0);
        CHECK_NOTHROW(verify_seal(folder / "a", kind));
        CHECK_FALSE(fs::exists(folder / "a.tmp"));
    }
}

TEST_CASE("sealed_file: every changed, missing or added byte is found") {
    const TemporaryFolder folder;
    publish("content", folder / "a");
    const std::string good = content_of(folder / "a");
    put_content(folder / "b", good);
    for (std::size_t i = 0; i < good.size(); ++i)
        for (const int mask : {1, 2, 64}) {
            flip(folder / "b", i, mask);
            CHECK_THROWS_AS(verify_seal(folder / "b", kind), InputError);
            flip(folder / "b", i, mask);
        }
    CHECK_NOTHROW(verify_seal(folder / "b", kind));
    for (std::size_t size = good.size(); size-- > 0;) {
        fs::resize_file(folder / "b", size);
        CHECK_THROWS_AS(verify_seal(folder / "b", kind), InputError);
    }
    put_content(folder / "b", good + "x");
    CHECK(contains(verdict(folder / "b"), "/b is damaged: it has 520 bytes, 1 too many"));
    put_content(folder / "b", good.substr(0, 515));
    CHECK(contains(verdict(folder / "b"), "/b is truncated: it has 515 of 519 bytes"));
    put_content(folder / "b", good.substr(0, 518) + "x");
    CHECK(contains(verdict(folder / "b"), "/b is damaged: its checksum is "));
}

TEST_CASE("sealed_file: other files are told apart") {
    const TemporaryFolder folder;
    CHECK(contains(verdict(folder / "a"), "/a does not exist"));
    CHECK(contains(verdict(folder.path()), "is not a regular file"));
    put_content(folder / "a", "");
    CHECK(contains(verdict(folder / "a"), "/a is not a test file"));
    publish("content", folder / "a", accept, {"other file", 2});
    CHECK(contains(verdict(folder / "a"), "/a is not a test file"));
    publish("content", folder / "a", accept, {"test file", 1});
    CHECK_NOTHROW(verify_seal(folder / "a", kind));
    publish("content", folder / "a", accept, {"test file", 3});
    CHECK(contains(verdict(folder / "a"), "/a has format version 3, this program reads up to 2"));
    publish("content", folder / "a", accept, {"test file", 0});
    CHECK(contains(verdict(folder / "a"), "/a is damaged in its first lines"));
}

TEST_CASE("sealed_file: a file that cannot be written leaves the older one") {
    const TemporaryFolder folder;
    publish("old", folder / "a");
    const std::string old = content_of(folder / "a");
    const auto failure = [&](const fs::path& path, const std::function<void(const fs::path&)>& verify = accept) {
        return message_of<std::runtime_error>([&] { publish("new", path, verify); });
    };

    fs::create_symlink("/dev/full", folder / "a.tmp");  // opens like a file, and every write finds the disk full
    CHECK(failure(folder / "a") ==
          text("cannot write ", (folder / "a").string(), ": cannot write: No space left on device"));
    CHECK_FALSE(fs::is_symlink(folder / "a.tmp"));
    CHECK(content_of(folder / "a") == old);

    const std::string rejected = failure(folder / "a", [](const fs::path&) { fault("it reads back wrong"); });
    CHECK(contains(rejected, "/a: it reads back wrong"));
    CHECK_FALSE(fs::exists(folder / "a.tmp"));
    CHECK(content_of(folder / "a") == old);

    fs::create_directory(folder / "d");
    CHECK(contains(failure(folder / "d"), "Is a directory"));
    CHECK(fs::is_directory(folder / "d"));
    CHECK_FALSE(fs::exists(folder / "d.tmp"));
    CHECK(contains(failure(folder / "none/b"), "No such file or directory"));
    CHECK(contains(failure(folder / "a/b"), "Not a directory"));
}
