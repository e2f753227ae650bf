// See backends.h.
#include "backend/backends.h"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <new>
#include <optional>
#include <thread>

#include "backend/load.h"
#include "backend/memory.h"
#include "backend/threads.h"
#include "error.h"

namespace diffusion {

namespace {

std::string lower_case(std::string name) {
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    return name;
}

// ggml calls its backend for Metal MTL.
std::string backend_name(ggml_backend_dev_t device) {
    const std::string name = lower_case(ggml_backend_reg_name(ggml_backend_dev_backend_reg(device)));
    return name == "mtl" ? "metal" : name;
}

// Vulkan's devices that are programs: Mesa's lavapipe, SwiftShader, WARP. ggml does not pass on the type of the device.
bool is_software(const std::string & description) {
    const std::string text = lower_case(description);
    for (const char * name : {"llvmpipe", "lavapipe", "softpipe", "swiftshader", "microsoft basic render"}) {
        if (text.find(name) != std::string::npos) return true;
    }
    return false;
}

// A function that the backend's library exports in addition to ggml's common interface; nullptr if it does not.
template <typename Function> Function backend_function(ggml_backend_t backend, const char * name) {
    const ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(ggml_backend_get_device(backend));
    return reinterpret_cast<Function>(ggml_backend_reg_get_proc_address(reg, name));
}

std::vector<std::string> features(ggml_backend_dev_t device) {
    const ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(device);
    const auto list = reinterpret_cast<ggml_backend_get_features_t>(
        ggml_backend_reg_get_proc_address(reg, "ggml_backend_get_features"));
    std::vector<std::string> names;
    if (!list) return names;
    for (const ggml_backend_feature * f = list(reg); f && f->name; f++) {
        const std::string value = f->value;
        if (value != "0") names.push_back(value == "1" ? f->name : std::string(f->name) + "=" + value);
    }
    return names;
}

// ggml starts its threads for every evaluation, and silently uses fewer if it does not get them. This checks once that
// the system grants that many.
void require_threads(int wanted) {
    std::vector<std::thread> started;
    started.reserve(wanted);
    std::atomic<bool> ended = false;
    std::optional<ErrorCode> refused;
    try {
        while (static_cast<int>(started.size()) + 1 < wanted) {
            started.push_back(start_thread([&ended] { ended.wait(false); }));
        }
    } catch (const std::bad_alloc &) {
        refused = ErrorCode::out_of_memory;
    } catch (const Error &) {
        refused = ErrorCode::device;
    }
    ended = true;
    ended.notify_all();
    for (std::thread & thread : started) thread.join();
    if (refused) {
        throw Error(*refused, "Expected " + std::to_string(wanted) + " threads, but the system grants only " +
                                  std::to_string(started.size() + 1) + ". Pass fewer (option `threads`).");
    }
}

} // namespace

std::vector<DeviceInfo> backend_devices() {
    load_backends();
    const auto lock = lock_devices();
    std::vector<DeviceInfo> result;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        const ggml_backend_dev_t device = ggml_backend_dev_get(i);
        const auto type = ggml_backend_dev_type(device);
        size_t free = 0, total = 0;
        ggml_backend_dev_memory(device, &free, &total);
        DeviceInfo info;
        info.name = public_name(device);
        info.backend = backend_name(device);
        info.description = ggml_backend_dev_description(device);
        info.type = type == GGML_BACKEND_DEVICE_TYPE_CPU     ? "cpu"
                    : type == GGML_BACKEND_DEVICE_TYPE_ACCEL ? "accelerator"
                                                             : "gpu";
        info.software = info.type == "gpu" && is_software(info.description);
        info.memory_total = static_cast<int64_t>(total);
        // Of the processor, ggml says the total only.
        info.memory_free = static_cast<int64_t>(std::min(free, available_memory(device)));
        info.features = features(device);
        result.push_back(std::move(info));
    }
    return result;
}

Backends::Backends(const std::string & name, int threads) : threads_(threads) {
    load_backends();
    auto lock = lock_devices();
    ggml_backend_dev_t found = nullptr;
    const ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    std::string known;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        const ggml_backend_dev_t device = ggml_backend_dev_get(i);
        if (ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_ACCEL) continue; // cannot hold weights on its own
        if (public_name(device) == name) found = device;
        known += (known.empty() ? "" : ", ") + public_name(device);
    }
    if (!found) {
        throw Error(ErrorCode::device, "Expected a device of this build (" + known + ") but received '" + name +
                                           "'. Other devices need a build with their backend.");
    }
    lock.unlock();
    require_threads(threads);
    open(found);
    if (ggml_backend_dev_type(found) != GGML_BACKEND_DEVICE_TYPE_CPU) {
        open(cpu);
    }
    using SetAbort = void (*)(ggml_backend_t, ggml_abort_callback, void *);
    const auto set_abort = backend_function<SetAbort>(backends_.back(), "ggml_backend_set_abort_callback");
    if (set_abort) {
        const auto poll = [](void * data) {
            const Cancellation * cancellation = static_cast<Backends *>(data)->cancellation_;
            return cancellation && cancellation->cancelled();
        };
        set_abort(backends_.back(), poll, this);
    }
}

void Backends::open(ggml_backend_dev_t device) {
    std::unique_ptr<ggml_backend, FreeBackend> opened(ggml_backend_dev_init(device, nullptr));
    const ggml_backend_t backend = opened.get();
    if (!backend && ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU) throw std::bad_alloc();
    if (!backend) throw Error(ErrorCode::device, "The device " + public_name(device) + " could not be opened.");
    owned_.emplace_back(std::move(opened));
    backends_.push_back(backend);
}

void Backends::set_threads(int threads) {
    using SetThreads = void (*)(ggml_backend_t, int);
    const ggml_backend_t cpu = backends_.back();
    const auto set = backend_function<SetThreads>(cpu, "ggml_backend_set_n_threads");
    if (set) set(cpu, std::min(threads, threads_));
}

void Backends::set_cancellation(const Cancellation * cancellation) {
    cancellation_ = cancellation;
}

} // namespace diffusion
