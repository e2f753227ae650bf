// Opening files: anything but a model file, and inconsistent indices, are refused with a reason and a remedy.
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>
#include <vector>

#ifndef _WIN32
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
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
    {"PNG", "\x89PNG\r\n\x1a\n and so on", unsupported, "image"},
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
        // Only the content counts, not the name.
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
    refuses("named pipe", folder.path("pipe"), "not a regular file but a FIFO");
    refuses("device", "/dev/zero", "not a regular file but a device");
    const int server = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, folder.path("socket").c_str(), sizeof address.sun_path - 1);
    const bool bound = bind(server, reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0;
    if (check(bound, "a socket can be made"))
        refuses("socket", folder.path("socket"), "not a regular file but a socket");
    close(server);
    if (geteuid() != 0) { // root may read everything
        const std::string locked = folder.write("locked", "x");
        chmod(locked.c_str(), 0);
        refuses("unreadable file", locked, "Permission denied");
    }
#endif
}

#ifndef _WIN32 // Windows does not allow changes to open files

// A change to a file while it is open, and the message of its next check; empty if it does not affect the reader.
struct Change {
    const char * name;
    std::function<void(const std::string & path)> make;
    const char * words;
};

void write_over(const std::string & path, const std::string & bytes) {
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary) << bytes;
}

timespec written_at(const std::string & path) {
    struct stat status;
    stat(path.c_str(), &status);
#ifdef __APPLE__
    return status.st_mtimespec;
#else
    return status.st_mtim;
#endif
}

void set_time(const std::string & path, timespec written) {
    const timespec times[2] = {written, written};
    utimensat(AT_FDCWD, path.c_str(), times, 0);
}

const Change changes[] = {
    {"nothing", [](const std::string &) {}, ""},
    {"cut", [](const std::string & path) { std::filesystem::resize_file(path, 10); }, "changed its size"},
    {"grown", [](const std::string & path) { std::filesystem::resize_file(path, 100000); }, "changed its size"},
    {"written over", [](const std::string & path) { write_over(path, "other"); }, "was written to"},
    {"written over and the time set back",
     [](const std::string & path) {
         const timespec before = written_at(path);
         write_over(path, "other");
         set_time(path, before);
     },
     "was written to"},
    {"replaced by renaming",
     [](const std::string & path) {
         std::filesystem::copy_file(path, path + ".new");
         std::filesystem::rename(path + ".new", path);
     },
     ""},
    {"moved away", [](const std::string & path) { std::filesystem::rename(path, path + ".old"); }, ""},
    {"removed", [](const std::string & path) { std::filesystem::remove(path); }, ""},
    {"linked to",
     [](const std::string & path) {
         std::filesystem::remove(path + ".link");
         std::filesystem::create_hard_link(path, path + ".link");
     },
     ""},
    {"closed to others", [](const std::string & path) { chmod(path.c_str(), 0600); }, ""},
};

void notices_changes(const TemporaryFolder & folder) {
    for (const Change & change : changes) {
        const std::string path = folder.write("changing.safetensors", safetensors_of({"a"}));
        chmod(path.c_str(), 0644);
        set_time(path, {1000, 5}); // so that no change has the same time
        const TensorTable table = TensorTable::open(path, {});
        table.check_unchanged();
        std::this_thread::sleep_for(std::chrono::milliseconds(20)); // longer than the resolution of file times
        change.make(path);
        for (const char * time : {" once", " twice"}) {
            if (*change.words) {
                check_throws(change.name, ErrorCode::file, change.words, [&] { table.check_unchanged(); });
                continue;
            }
            try {
                table.check_unchanged();
                check(true, change.name);
            } catch (const Error & error) {
                check(false, std::string(change.name) + time + ": " + error.what());
            }
        }
    }
}

// Reading a truncated part gives zeros and an error instead of ending the process, also from several threads at once.
void survives_a_cut(const TemporaryFolder & folder) {
    constexpr size_t size = 64 << 20, kept = 1 << 20;
    const std::string path = folder.write("cut", "");
    std::filesystem::resize_file(path, size);
    const auto file = MappedFile::open(path), other = MappedFile::open(path);
    std::filesystem::resize_file(path, kept);
    std::atomic<size_t> sum = 0;
    std::vector<std::thread> threads;
    for (size_t i = 0; i < 4; i++) {
        threads.emplace_back([&, i] {
            for (size_t at = i * 4096; at < size; at += 4 * 4096) sum += file->data()[at];
        });
    }
    for (std::thread & thread : threads) thread.join();
    check_equal(sum.load(), size_t{0}, "what is gone is read as zeros");
    check_throws("cut", ErrorCode::file, "changed its size", [&] { file->check_unchanged(); });
    std::filesystem::resize_file(path, size);
    check_throws("cut and grown again", ErrorCode::file, "was truncated", [&] { file->check_unchanged(); });
    check_throws("not read", ErrorCode::file, "was written to", [&] { other->check_unchanged(); });
    for (int i = 0; i < 1000; i++) MappedFile::open(path)->check_unchanged(); // entries are reused
}

std::atomic<int> handed_on = 0;

// Calls `act` in a child process, which a signal may end. Returns its status from waitpid().
int in_child(const std::function<void()> & act) {
    const pid_t child = fork();
    if (child == 0) {
        act();
        _exit(handed_on > 0 ? 42 : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status;
}

// A fault in memory that is not a guarded mapping.
void fault(const std::string & path) {
    const int file = ::open(path.c_str(), O_RDONLY);
    const auto * data = static_cast<volatile uint8_t *>(mmap(nullptr, 8192, PROT_READ, MAP_SHARED, file, 0));
    (void)data[4096];
}

// Other faults, and signals that were sent, are handled as without the guard.
void hands_other_signals_on(const TemporaryFolder & folder) {
    const std::string path = folder.write("short", "x");
    const auto ends_by_signal = [](int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS; };
    const auto ends_by_handler = [](int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 42; };
    const std::function<void()> faults = [&] { fault(path); }, sends = [] { raise(SIGBUS); };
    const auto guarded = [&](const std::function<void()> & prepare, const std::function<void()> & act) {
        return in_child([&] {
            signal(SIGBUS, SIG_DFL); // replaces a sanitizer's handler
            prepare();
            const auto file = MappedFile::open(path); // sets the handler
            act();
        });
    };
    const auto nothing = [] {};
    check(ends_by_signal(guarded(nothing, faults)), "a fault elsewhere ends the process");
    check(ends_by_signal(guarded(nothing, sends)), "a signal that is sent ends the process");
    const auto ignore = [] { signal(SIGBUS, SIG_IGN); };
    check(ends_by_signal(guarded(ignore, faults)), "a fault cannot be ignored");
    check_equal(guarded(ignore, sends), 0, "a signal that is sent can be ignored");
    const auto plain = [] { signal(SIGBUS, [](int) { _exit(42); }); };
    check(ends_by_handler(guarded(plain, faults)), "a handler that was there gets a fault");
    const auto informed = [] {
        struct sigaction action = {};
        action.sa_flags = SA_SIGINFO;
        action.sa_sigaction = [](int, siginfo_t * info, void *) { handed_on += info->si_addr || info->si_pid; };
        sigaction(SIGBUS, &action, nullptr);
    };
    check(ends_by_handler(guarded(informed, sends)), "a handler that was there gets what was sent, with all about it");
}

#endif

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
#ifndef _WIN32
    hands_other_signals_on(folder); // before opening a file sets the handler in this process
#endif
    refuses_foreign_files(folder);
    refuses_what_is_no_file(folder);
#ifndef _WIN32
    notices_changes(folder);
    survives_a_cut(folder);
#endif
    quotes_untrusted_text();
    reads_an_index(folder);
    refuses_hostile_indexes(folder);
    return finish();
}
