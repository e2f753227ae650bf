// Finds the folder of the binary that this code was linked into, and loads backend libraries.
#include "backend/load.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <memory>

#include "backend/log.h"
#include "error.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace diffusion {

namespace {

#ifdef DIFFUSION_BACKEND_DL

std::filesystem::path own_folder() {
    const void * here = reinterpret_cast<const void *>(&load_backends);
#ifdef _WIN32
    HMODULE module = nullptr;
    wchar_t path[32768] = {};
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                       static_cast<LPCWSTR>(here), &module);
    GetModuleFileNameW(module, path, 32768);
    return std::filesystem::path(path).parent_path();
#else
    Dl_info info = {};
    if (dladdr(here, &info) == 0 || info.dli_fname == nullptr) return {};
    return std::filesystem::path(info.dli_fname).parent_path();
#endif
}

// How well a CPU variant suits this machine; 0 if it does not load or needs other instructions.
int score(const std::filesystem::path & path) {
    using Score = int (*)();
#ifdef _WIN32
    const HMODULE library = LoadLibraryW(path.c_str());
    if (!library) return 0;
    const auto function = reinterpret_cast<Score>(GetProcAddress(library, "ggml_backend_score"));
    const int result = function ? function() : 1;
    FreeLibrary(library);
#else
    void * const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) return 0;
    const auto function = reinterpret_cast<Score>(dlsym(library, "ggml_backend_score"));
    const int result = function ? function() : 1;
    dlclose(library);
#endif
    return result;
}

// Only the CPU's: the driver of a GPU may end the process, so its library is loaded when it was tried (load_backend).
void load_best_cpu(const std::filesystem::path & folder) {
    std::filesystem::path best;
    int best_score = 0;
    std::error_code failed;
    for (std::filesystem::directory_iterator entry(folder, failed), end; !failed && entry != end;
         entry.increment(failed)) {
        const std::string name = entry->path().stem().string();
        if (name.rfind("libggml-cpu", 0) != 0 && name.rfind("ggml-cpu", 0) != 0) continue;
        const int found = score(entry->path());
        if (found <= best_score) continue;
        best_score = found;
        best = entry->path();
    }
    if (!best.empty()) ggml_backend_load(best.string().c_str());
}

#endif

std::vector<std::string> device_names(ggml_backend_reg_t backend) {
    std::vector<std::string> names;
    for (size_t i = 0; i < ggml_backend_reg_dev_count(backend); i++) {
        names.push_back(public_name(ggml_backend_reg_dev_get(backend, i)));
    }
    return names;
}

void try_devices(ggml_backend_reg_t backend) {
    for (size_t i = 0; i < ggml_backend_reg_dev_count(backend); i++) {
        const ggml_backend_dev_t device = ggml_backend_reg_dev_get(backend, i);
        const ggml_backend_t opened = ggml_backend_dev_init(device, nullptr);
        if (!opened) throw Error(ErrorCode::device, "its device " + public_name(device) + " could not be opened");
        ggml_backend_free(opened);
    }
}

} // namespace

std::string public_name(ggml_backend_dev_t device) {
    std::string name = ggml_backend_dev_name(device);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    return name;
}

std::unique_lock<std::mutex> lock_devices() {
    static std::mutex mutex;
    return std::unique_lock(mutex);
}

void load_backends() {
#ifdef DIFFUSION_BACKEND_DL
    static std::once_flag once;
    std::call_once(once, [] {
        // No call owns this log yet, and ggml would print it.
        const LogSink silence;
        const LogScope scope(silence);
        load_best_cpu(own_folder());
    });
#endif
}

std::vector<std::string> load_backend(const std::string & path, bool trial) {
    load_backends();
    const auto lock = lock_devices();
    static std::map<std::string, ggml_backend_reg_t> loaded;
    auto found = loaded.find(path);
    if (found == loaded.end()) {
        std::string reason;
        const LogSink keep = [&](LogLevel level, const std::string & message) {
            if (level == LogLevel::error) reason = message;
        };
        const LogScope scope(keep);
        const ggml_backend_reg_t backend = ggml_backend_load(path.c_str());
        if (!backend) throw Error(ErrorCode::device, reason.empty() ? "this machine does not support it" : reason);
        found = loaded.emplace(path, backend).first;
    }
    if (ggml_backend_reg_dev_count(found->second) == 0) throw Error(ErrorCode::device, "it found no device");
    if (trial) try_devices(found->second);
    return device_names(found->second);
}

} // namespace diffusion
