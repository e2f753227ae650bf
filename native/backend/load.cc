// Finds the folder of the binary that this code was linked into, and loads the backend libraries there.
#include "backend/load.h"

#ifdef DIFFUSION_BACKEND_DL

#include <filesystem>
#include <mutex>

#include "ggml-backend.h"

#include "backend/log.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace diffusion {

namespace {

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

} // namespace

void load_backends() {
    static std::once_flag once;
    std::call_once(once, [] {
        // No call owns this log yet, and ggml would print it.
        const LogSink silence;
        const LogScope scope(silence);
        ggml_backend_load_all_from_path(own_folder().string().c_str());
    });
}

} // namespace diffusion

#else

namespace diffusion {

void load_backends() {}

} // namespace diffusion

#endif
