// A backend library for tests of lib/native/gpu-libraries.ts: compiled once for each way in which drivers behave. It has
// one device, which opens but computes nothing.
#include <chrono>
#include <cstdlib>
#include <thread>

#include "ggml-backend-impl.h"

namespace {

#ifndef FAKE_NAME
#define FAKE_NAME "CUDA"
#endif
#ifndef FAKE_DESCRIPTION
#define FAKE_DESCRIPTION "Fake GPU"
#endif

ggml_backend_device device;
ggml_backend_reg backend;

const char * backend_name(ggml_backend_reg_t) {
    return FAKE_NAME;
}

size_t device_count(ggml_backend_reg_t) {
#ifdef FAKE_EMPTY
    return 0;
#else
    return 1;
#endif
}

ggml_backend_dev_t get_device(ggml_backend_reg_t, size_t) {
    return &device;
}

const char * device_name(ggml_backend_dev_t) {
    return FAKE_NAME "0";
}

const char * description(ggml_backend_dev_t) {
    return FAKE_DESCRIPTION;
}

void memory(ggml_backend_dev_t, size_t * free, size_t * total) {
    *free = size_t(3) << 30;
    *total = size_t(4) << 30;
}

enum ggml_backend_dev_type type(ggml_backend_dev_t) {
    return GGML_BACKEND_DEVICE_TYPE_GPU;
}

void end(ggml_backend_t opened) {
    delete opened;
}

ggml_backend_t open(ggml_backend_dev_t, const char *) {
#ifdef FAKE_ABORT
    std::abort();
#endif
#ifdef FAKE_HANG
    std::this_thread::sleep_for(std::chrono::hours(1));
#endif
#ifdef FAKE_CLOSED
    return nullptr;
#else
    auto * const opened = new ggml_backend{};
    opened->iface.free = end;
    opened->device = &device;
    return opened;
#endif
}

void * no_function(ggml_backend_reg_t, const char *) {
    return nullptr;
}

} // namespace

extern "C" __attribute__((visibility("default"))) ggml_backend_reg_t ggml_backend_init() {
    device.iface.get_name = device_name;
    device.iface.get_description = description;
    device.iface.get_memory = memory;
    device.iface.get_type = type;
    device.iface.init_backend = open;
    device.reg = &backend;
    backend.api_version = GGML_BACKEND_API_VERSION;
    backend.iface = {backend_name, device_count, get_device, no_function};
    return &backend;
}
