// ggml with this package's patches: whichever allocation fails, a graph on the CPU backend is either refused or
// correct, the backend works afterwards, and no memory leaks. This program replaces the C library's allocator.

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cmath>
#include <memory>
#include <new>
#include <optional>
#include <vector>

#include "backend/log.h"
#include "check.h"
#include "graph/layers.h"

extern "C" {
void * __libc_malloc(size_t size);
void * __libc_calloc(size_t n, size_t size);
void * __libc_realloc(void * memory, size_t size);
void * __libc_memalign(size_t alignment, size_t size);
void __libc_free(void * memory);
}

namespace {

std::atomic<bool> armed = false, rest = false; // with `rest` all allocations from the chosen one on fail
std::atomic<long> count = 0, chosen = 0, live = 0;

bool refuses() {
    if (!armed) return false;
    const long n = ++count;
    return n == chosen || (rest && n > chosen);
}

void * noted(void * memory) {
    if (memory) live++;
    return memory;
}

} // namespace

extern "C" {

void * malloc(size_t size) {
    return refuses() ? nullptr : noted(__libc_malloc(size));
}
void * calloc(size_t n, size_t size) {
    return refuses() ? nullptr : noted(__libc_calloc(n, size));
}
void * realloc(void * memory, size_t size) {
    if (refuses()) return nullptr;
    void * const grown = __libc_realloc(memory, size);
    return memory ? grown : noted(grown);
}
int posix_memalign(void ** memory, size_t alignment, size_t size) {
    if (refuses()) return ENOMEM;
    *memory = noted(__libc_memalign(alignment, size));
    return *memory ? 0 : ENOMEM;
}
void * aligned_alloc(size_t alignment, size_t size) {
    return refuses() ? nullptr : noted(__libc_memalign(alignment, size));
}
void free(void * memory) {
    if (memory) live--;
    __libc_free(memory);
}
int pthread_create(pthread_t * thread, const pthread_attr_t * attributes, void * (*run)(void *), void * argument) {
    using Create = int (*)(pthread_t *, const pthread_attr_t *, void * (*)(void *), void *);
    static const Create create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
    return refuses() ? EAGAIN : create(thread, attributes, run, argument);
}

} // extern "C"

using namespace diffusion;
using namespace diffusion::test;

namespace {

constexpr int64_t in = 64, out = 48, rows = 40;

struct Free {
    void operator()(ggml_backend_t backend) const { ggml_backend_free(backend); }
    void operator()(ggml_backend_sched_t sched) const { ggml_backend_sched_free(sched); }
};
using Backend = std::unique_ptr<ggml_backend, Free>;

Backend open_backend() {
    Backend backend(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr));
    if (!backend) return backend;
    using SetThreads = void (*)(ggml_backend_t, int);
    const ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(ggml_backend_get_device(backend.get()));
    reinterpret_cast<SetThreads>(ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads"))(backend.get(),
                                                                                                       3);
    return backend;
}

// A matrix product whose second factor ggml converts to the type of the first, which takes working memory.
struct Product {
    Graph graph{Graph::Limits{}};
    Tensor weight = ggml_new_tensor_2d(graph.context(), GGML_TYPE_F16, in, out);
    Tensor x = ggml_new_tensor_2d(graph.context(), GGML_TYPE_F32, in, rows);
    Tensor y = ggml_mul_mat(graph.context(), weight, x);

    Product() {
        ggml_set_input(weight);
        ggml_set_input(x);
        ggml_set_output(y);
        graph.expand(y);
    }
};

// The result of the product; nothing if there is no memory.
std::optional<std::vector<float>> multiply(ggml_backend_t backend) {
    const std::vector<ggml_fp16_t> weight(in * out, ggml_fp32_to_fp16(0.25f));
    std::vector<float> x(in * rows), y(out * rows);
    for (size_t i = 0; i < x.size(); i++) x[i] = static_cast<float>(i % 7);
    const auto make_sched = [&] {
        return std::unique_ptr<ggml_backend_sched, Free>(
            ggml_backend_sched_new(&backend, nullptr, 1, 1024, false, false));
    };
    size_t size = 0;
    {
        const Product measured;
        const auto sched = make_sched();
        if (!sched || !ggml_backend_sched_reserve_size(sched.get(), measured.graph.nodes(), &size)) return std::nullopt;
    }
    const Product product;
    const auto sched = make_sched();
    if (!sched) return std::nullopt;
    if (!ggml_backend_sched_alloc_graph(sched.get(), product.graph.nodes())) return std::nullopt;
    ggml_backend_tensor_set(product.weight, weight.data(), 0, ggml_nbytes(product.weight));
    ggml_backend_tensor_set(product.x, x.data(), 0, ggml_nbytes(product.x));
    const ggml_status status = ggml_backend_sched_graph_compute(sched.get(), product.graph.nodes());
    if (status == GGML_STATUS_ALLOC_FAILED) return std::nullopt;
    check_equal(status, GGML_STATUS_SUCCESS, "evaluation");
    ggml_backend_tensor_get(product.y, y.data(), 0, ggml_nbytes(product.y));
    return y;
}

std::optional<std::vector<float>> attempt(ggml_backend_t backend) {
    try {
        if (backend) return multiply(backend);
        const Backend own = open_backend();
        return own ? multiply(own.get()) : std::nullopt;
    } catch (const std::bad_alloc &) {
        return std::nullopt;
    }
}

void sweep(const std::string & what, ggml_backend_t backend) {
    chosen = 0;
    count = 0;
    rest = false;
    armed = true;
    const auto expected = attempt(backend);
    armed = false;
    const long n = count;
    check(n > 20 && expected, what + ": takes memory");
    int refused = 0;
    for (const bool all : {false, true}) {
        for (long i = 1; i <= n; i++) {
            chosen = i;
            count = 0;
            rest = all;
            const long before = live;
            armed = true;
            std::optional<std::vector<float>> values = attempt(backend);
            armed = false;
            refused += !values;
            const bool right = !values || values == expected;
            values.reset();
            const bool right_afterwards = attempt(backend) == expected;
            const long left = live - before;
            const std::string which = what + ", allocation " + std::to_string(i) + (all ? " and the rest" : "");
            check(right, which + ": another result");
            check(right_afterwards, which + ": another result afterwards");
            check_equal(left, 0L, which + ": allocations that are left");
        }
    }
    check(refused > n, what + ": what fails is refused");
}

} // namespace

int main() {
    const LogSink silence;
    const LogScope scope(silence);
    for (int i = 0; i < 3; i++) attempt(nullptr); // lets libraries allocate what they keep
    sweep("a backend of its own", nullptr);
    const Backend backend = open_backend();
    attempt(backend.get());
    sweep("a backend that stays", backend.get());
    return finish();
}
