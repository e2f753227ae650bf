// Makes allocations of the addon fail. Preloaded into Node (LD_PRELOAD) it replaces the C library's allocator; loaded
// as an addon, its function `arm` chooses the allocation that fails.
//
// Allocations count if the innermost caller outside the C and C++ libraries is the addon, threads among them; or instead the
// large arrays of JavaScript. Other allocations of V8 and Node, which abort without memory, are not tested.

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <node_api.h>
#include <pthread.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <new>

extern "C" {
void * __libc_malloc(size_t size);
void * __libc_calloc(size_t n, size_t size);
void * __libc_realloc(void * memory, size_t size);
void * __libc_memalign(size_t alignment, size_t size);
}

namespace {

struct Range {
    uintptr_t begin = 0, end = 0;
    bool holds(const void * address) const {
        const auto at = reinterpret_cast<uintptr_t>(address);
        return at >= begin && at < end;
    }
};

Range addon, program;
Range arrays[2]; // Node's functions that allocate them
// Smaller ones are those of Node itself too, which does not expect their failure.
constexpr size_t large_array = size_t{16} << 10;
std::atomic<bool> armed = false, failing = false;
std::atomic<bool> rest = false;        // all later ones fail too
std::atomic<bool> only_arrays = false; // of JavaScript
std::atomic<size_t> refused_size = 0;  // of the chosen array: V8 collects garbage and tries again
std::atomic<int64_t> count = 0, chosen = 0, failed = 0;
__attribute__((tls_model("initial-exec"))) thread_local bool inside = false; // unwinding may allocate

bool is_addon(const void * caller) {
    if (addon.holds(caller)) return true;
    if (program.holds(caller)) return false;
    constexpr int depth = 48;
    void * frames[depth];
    inside = true;
    const int n = backtrace(frames, depth);
    inside = false;
    for (int i = 0; i < n; i++) {
        if (addon.holds(frames[i])) return true;
        if (program.holds(frames[i])) return false;
    }
    return false;
}

bool is_array(size_t size) {
    if (size <= large_array) return false;
    constexpr int depth = 8;
    void * frames[depth];
    inside = true;
    const int n = backtrace(frames, depth);
    inside = false;
    for (int i = 0; i < n; i++) {
        if (arrays[0].holds(frames[i]) || arrays[1].holds(frames[i])) return true;
    }
    return false;
}

// Whether the allocation by `caller` must fail.
bool refuses(const void * caller, size_t size = 0) {
    if (!armed.load(std::memory_order_relaxed) || inside) return false;
    if (only_arrays ? !is_array(size) : !is_addon(caller)) return false;
    if (only_arrays && refused_size.load() == size) {
        failed++;
        return true;
    }
    refused_size = 0;
    const int64_t n = ++count;
    if (only_arrays && n == chosen) refused_size = size;
    if (n == chosen) failing = true;
    const bool fails = n == chosen || (rest && failing);
    if (fails) failed++;
    return fails;
}

void * refused() {
    errno = ENOMEM;
    return nullptr;
}

void * make_object(size_t size, size_t alignment, const void * caller) {
    void * memory = nullptr;
    if (!refuses(caller, size)) memory = alignment ? __libc_memalign(alignment, size) : __libc_malloc(size);
    return memory;
}

void * make_or_throw(size_t size, size_t alignment, const void * caller) {
    void * const memory = make_object(size, alignment, caller);
    if (!memory) throw std::bad_alloc();
    return memory;
}

int find_ranges(dl_phdr_info * info, size_t, void * first) {
    Range range{UINTPTR_MAX, 0};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const auto & part = info->dlpi_phdr[i];
        if (part.p_type != PT_LOAD) continue;
        const uintptr_t begin = info->dlpi_addr + part.p_vaddr;
        range.begin = begin < range.begin ? begin : range.begin;
        range.end = begin + part.p_memsz > range.end ? begin + part.p_memsz : range.end;
    }
    if (std::strstr(info->dlpi_name, "node-diffusion.node")) addon = range;
    if (*static_cast<bool *>(first)) program = range;
    *static_cast<bool *>(first) = false;
    return 0;
}

int64_t number(napi_env env, napi_value value) {
    int64_t result = 0;
    napi_get_value_int64(env, value, &result);
    return result;
}

// The machine code of a function that the program exports.
Range function_of(const char * symbol) {
    Dl_info info;
    ElfW(Sym) * entry = nullptr;
    void * const address = dlsym(RTLD_DEFAULT, symbol);
    if (!address || !dladdr1(address, &info, reinterpret_cast<void **>(&entry), RTLD_DL_SYMENT) || !entry) return {};
    const auto begin = reinterpret_cast<uintptr_t>(address);
    return {begin, begin + entry->st_size};
}

bool find_arrays() {
    arrays[0] = function_of("_ZN4node24NodeArrayBufferAllocator8AllocateEm");
    arrays[1] = function_of("_ZN4node24NodeArrayBufferAllocator21AllocateUninitializedEm");
    return arrays[0].begin && arrays[1].begin;
}

// arm(chosen, rest, arrays): makes the chosen allocation from now on fail, counted from 1, and with `rest` all later ones;
// of the addon, or with `arrays` of JavaScript.
napi_value arm(napi_env env, napi_callback_info info) {
    napi_value arguments[3];
    size_t n = 3;
    napi_get_cb_info(env, info, &n, arguments, nullptr, nullptr);
    bool all = false, arrays_only = false;
    napi_get_value_bool(env, arguments[1], &all);
    napi_get_value_bool(env, arguments[2], &arrays_only);
    bool first = true;
    dl_iterate_phdr(find_ranges, &first);
    void * frame;
    backtrace(&frame, 1); // loads its library now
    count = failed = 0;
    chosen = number(env, arguments[0]);
    rest = all;
    only_arrays = arrays_only;
    refused_size = 0;
    failing = false;
    armed = true;
    return nullptr;
}

// disarm(): returns how many allocations were counted, and how many failed.
napi_value disarm(napi_env env, napi_callback_info) {
    armed = false;
    napi_value pair, value;
    napi_create_array_with_length(env, 2, &pair);
    napi_create_int64(env, count, &value);
    napi_set_element(env, pair, 0, value);
    napi_create_int64(env, failed, &value);
    napi_set_element(env, pair, 1, value);
    return pair;
}

} // namespace

#define CALLER __builtin_return_address(0)
#define EXPORT __attribute__((visibility("default")))

extern "C" {

EXPORT void * malloc(size_t size) {
    return refuses(CALLER, size) ? refused() : __libc_malloc(size);
}
EXPORT void * calloc(size_t n, size_t size) {
    return refuses(CALLER, n * size) ? refused() : __libc_calloc(n, size);
}
EXPORT void * realloc(void * memory, size_t size) {
    return refuses(CALLER, size) ? refused() : __libc_realloc(memory, size);
}
EXPORT void * aligned_alloc(size_t alignment, size_t size) {
    return refuses(CALLER) ? refused() : __libc_memalign(alignment, size);
}
EXPORT int posix_memalign(void ** memory, size_t alignment, size_t size) {
    if (refuses(CALLER)) return ENOMEM;
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}

EXPORT void * mmap(void * address, size_t length, int protection, int flags, int file, off_t offset) noexcept {
    using Map = void * (*)(void *, size_t, int, int, int, off_t);
    static const Map map = reinterpret_cast<Map>(dlsym(RTLD_NEXT, "mmap"));
    if (!refuses(CALLER)) return map(address, length, protection, flags, file, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

// The C library maps a thread's stack itself, so this simulates that there is no memory for it.
EXPORT int pthread_create(pthread_t * thread, const pthread_attr_t * attributes, void * (*run)(void *),
                          void * argument) {
    using Create = int (*)(pthread_t *, const pthread_attr_t *, void * (*)(void *), void *);
    static const Create create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
    return refuses(CALLER) ? EAGAIN : create(thread, attributes, run, argument);
}

EXPORT napi_value napi_register_module_v1(napi_env env, napi_value exports) {
    napi_value function;
    napi_create_function(env, "arm", NAPI_AUTO_LENGTH, arm, nullptr, &function);
    napi_set_named_property(env, exports, "arm", function);
    napi_create_function(env, "disarm", NAPI_AUTO_LENGTH, disarm, nullptr, &function);
    napi_set_named_property(env, exports, "disarm", function);
    // Whether the arrays of this Node can be told from its other allocations.
    napi_value found;
    napi_get_boolean(env, find_arrays(), &found);
    napi_set_named_property(env, exports, "findsArrays", found);
    return exports;
}

} // extern "C"

EXPORT void * operator new(size_t size) {
    return make_or_throw(size, 0, CALLER);
}
EXPORT void * operator new[](size_t size) {
    return make_or_throw(size, 0, CALLER);
}
EXPORT void * operator new(size_t size, const std::nothrow_t &) noexcept {
    return make_object(size, 0, CALLER);
}
EXPORT void * operator new[](size_t size, const std::nothrow_t &) noexcept {
    return make_object(size, 0, CALLER);
}
EXPORT void * operator new(size_t size, std::align_val_t alignment) {
    return make_or_throw(size, static_cast<size_t>(alignment), CALLER);
}
