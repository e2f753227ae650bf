// Backends are loaded once, whichever thread is first.
#include <cstdio>
#include <thread>
#include <vector>

#include "backend/load.h"
#include "ggml-backend.h"

int main() {
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; i++) threads.emplace_back(diffusion::load_backends);
    for (std::thread & thread : threads) thread.join();

    int cpus = 0;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        cpus += ggml_backend_dev_type(ggml_backend_dev_get(i)) == GGML_BACKEND_DEVICE_TYPE_CPU;
    }
    if (cpus != 1) {
        std::fprintf(stderr, "expected one CPU device after loading from 8 threads, but found %d\n", cpus);
        return 1;
    }
    return 0;
}
