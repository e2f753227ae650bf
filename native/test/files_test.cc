// Opening files: what is no file, no model, or an index that lies is refused with a reason and a remedy.
#include <filesystem>

#ifndef _WIN32
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#endif

#include "check.h"
#include "files.h"
#include "io/file_error.h"
#include "io/mapped_file.h"
#include "io/tensor_table.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

constexpr ErrorCode corrupt = ErrorCode::model_corrupt;
constexpr ErrorCode unsupported = ErrorCode::model_unsupported;

struct Row {
    const char * name;
    std::string bytes;
    ErrorCode code;
    const char * words;
};

const Row foreign_files[] = {
    {"empty", "", ErrorCode::file, "is empty"},
    {"3 bytes", "abc", corrupt, "has only 3 bytes"},
    {"16 random bytes", "\x9e\x11\x5c\xf3\x42\x08\x77\xd1\xaa\x60\x1f\xc4\x3b\x95\xe8\x2d", unsupported,
     "neither a safetensors, a GGUF nor a PyTorch file (it begins with the bytes 9e 11 5c f3 42 08 77 d1)"},
    {"zeros", std::string(5000, '\0'), corrupt, "nothing but zeros"},
    {"text", "hello, this is no model", unsupported, "neither a safetensors, a GGUF nor a PyTorch file"},
    {"zip cut short", {"PK\x03\x04 archive/data.pkl", 20}, corrupt, "no zip directory"},
    {"pickle cut short", "\x80\x02}q\x01", corrupt, "pickle ends too early"},
    {"web page", "<!DOCTYPE html><html>", unsupported, "web page"},
    {"error document", "<?xml version=\"1.0\"?><Error>AccessDenied</Error>", unsupported, "XML"},
    {"LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", unsupported, "git lfs pull"},
    {"PNG", "\x89PNG\r\n\x1a\n and so on", unsupported, "picture"},
    {"ONNX", {"\x08\x07\x12\x07pytorch", 11}, unsupported, "ONNX"},
    {"old GGML", {"tjgg\x03\0\0\0\x01\0\0\0", 12}, unsupported, "before GGUF"},
    {"gzip", "\x1F\x8B\x08 and so on", unsupported, "gzip"},
    {"JSON that is no index", R"({"_class_name": "StableDiffusionPipeline"})", unsupported, "no \"weight_map\""},
    {"JSON array", "[1, 2, 3, 4]", unsupported, "neither"},
    {"JSON cut short", R"({"weight_map": {"a": "b)", corrupt, "malformed"},
    {"JSON nested deeply", "{\"a\":" + std::string(100000, '['), corrupt, "nested more than 8 deep"},
};

void refuses_foreign_files(const TemporaryFolder & folder) {
    for (const Row & row : foreign_files) {
        // The name promises a model: only the content counts.
        const std::string path = folder.write("model.safetensors", row.bytes);
        check_throws(row.name, row.code, row.words, [&] { TensorTable::open(path, {}); });
    }
}

void refuses_what_is_no_file(const TemporaryFolder & folder) {
    const auto refuses = [&](const char * name, const std::string & path, const char * words) {
        check_throws(name, ErrorCode::file, words, [&] { TensorTable::open(path, {}); });
    };
    refuses("missing file", folder.path("absent.safetensors"), "no such file");
    refuses("file below a file", folder.write("file", "x") + "/below", "no such file");
    refuses("directory", folder.path(""), "is a directory");
    refuses("empty path", "", "path of a model file is empty");
    refuses("NUL in the path", std::string("a\0b", 3), "NUL");
    refuses("name too long", folder.path(std::string(5000, 'x')), "cannot be opened");
#ifndef _WIN32
    mkfifo(folder.path("pipe").c_str(), 0600);
    refuses("named pipe", folder.path("pipe"), "not a regular file");
    refuses("device", "/dev/zero", "not a regular file");
    const int server = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, folder.path("socket").c_str(), sizeof address.sun_path - 1);
    const bool bound = bind(server, reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0;
    if (check(bound, "a socket can be made")) refuses("socket", folder.path("socket"), "not a regular file");
    close(server);
    if (geteuid() != 0) { // root reads everything
        const std::string locked = folder.write("locked", "x");
        chmod(locked.c_str(), 0);
        refuses("unreadable file", locked, "Permission denied");
    }
#endif
}

void notices_a_changed_size(const TemporaryFolder & folder) {
    const std::string path = folder.write("changing.safetensors", safetensors_of({"a"}));
    const TensorTable table = TensorTable::open(path, {});
    const MappedFile & file = *table.files().at(0).mapping;
    file.check_unchanged();
    std::filesystem::resize_file(path, 10);
    check_throws("cut while mapped", ErrorCode::file, "changed its size", [&] { file.check_unchanged(); });
}

void quotes_untrusted_text() {
    check_equal(quote("größe"), "'größe'", "UTF-8 stays");
    check_equal(quote("a\n\x1b[31m"), "'a\\x0a\\x1b[31m'", "control characters are spelled out");
    check_equal(quote("\xFF\xC0\x80\xED\xA0\x80\xF5"), "'\\xff\\xc0\\x80\\xed\\xa0\\x80\\xf5'",
                "no invalid UTF-8 comes out");
    check(quote(std::string(1000000, 'x')).size() < 120, "long text is cut");
}

void reads_an_index(const TemporaryFolder & folder) {
    folder.write("sharded/one.safetensors", safetensors_of({"a", "b"}));
    folder.write("sharded/two.safetensors", safetensors_of({"c"}));
    const TensorTable table =
        TensorTable::open(folder.write("sharded/index.json", R"({"metadata":{"total_size":24,"x":[["y"]]},
            "weight_map":{"a":"one.safetensors","b":"one.safetensors","c":"two.safetensors"}})"),
                          {});
    check(table.tensors().size() == 3 && table.files().size() == 2, "two shards make one table");
    check(table.find("c") && table.files()[table.find("c")->file].path == folder.path("sharded/two.safetensors"),
          "a tensor knows its shard");
}

const Row hostile_indexes[] = {
    {"empty map", R"({"weight_map":{}})", unsupported, "no \"weight_map\""},
    {"map of numbers", R"({"weight_map":{"a":1}})", unsupported, "no \"weight_map\""},
    {"missing shard", R"({"weight_map":{"a":"three.safetensors"}})", ErrorCode::file, "no such file"},
    {"absolute path", R"({"weight_map":{"a":"/etc/passwd"}})", corrupt, "'/etc/passwd', which is not the name"},
    {"parent folder", R"({"weight_map":{"a":"../file"}})", corrupt, "not the name"},
    {"two dots", R"({"weight_map":{"a":".."}})", corrupt, "not the name"},
    {"backslashes", R"({"weight_map":{"a":"..\\file"}})", corrupt, "not the name"},
    {"drive", R"({"weight_map":{"a":"C:file"}})", corrupt, "not the name"},
    {"NUL", R"({"weight_map":{"a":"one.safetensors\u0000"}})", corrupt, "not the name"},
    {"empty name", R"({"weight_map":{"a":""}})", corrupt, "not the name"},
    {"tensor twice", R"({"weight_map":{"a":"one.safetensors","a":"one.safetensors"}})", corrupt, "'a' twice"},
    {"tensor that the shard lacks",
     R"({"weight_map":{"a":"one.safetensors","b":"one.safetensors","x":"one.safetensors"}})", corrupt,
     "holds the tensor 'x', but it does not"},
    {"tensor of the other shard",
     R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors","c":"two.safetensors"}})", corrupt,
     "holds the tensor 'b', but it does not"},
    {"tensor that the index lacks", R"({"weight_map":{"a":"one.safetensors"}})", corrupt,
     "does not list the tensor 'b'"},
    {"tensor in two shards", R"({"weight_map":{"a":"one.safetensors","b":"copy.safetensors"}})", corrupt,
     "has already"},
    {"an index as its own shard", R"({"weight_map":{"a":"hostile.json"}})", corrupt, "is an index itself"},
};

void refuses_hostile_indexes(const TemporaryFolder & folder) {
    folder.write("sharded/copy.safetensors", safetensors_of({"a", "b"}));
    for (const Row & row : hostile_indexes) {
        const std::string path = folder.write("sharded/hostile.json", row.bytes);
        check_throws(row.name, row.code, row.words, [&] { TensorTable::open(path, {}); });
    }
}

} // namespace

int main() {
    const TemporaryFolder folder;
    refuses_foreign_files(folder);
    refuses_what_is_no_file(folder);
    notices_a_changed_size(folder);
    quotes_untrusted_text();
    reads_an_index(folder);
    refuses_hostile_indexes(folder);
    return finish();
}
