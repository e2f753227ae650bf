// See device.h.
#include "backend/device.h"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <new>
#include <optional>
#include <thread>

#include "backend/load.h"
#include "backend/memory.h"
#include "backend/threads.h"
#include "runtime/engine.h"

namespace diffusion {

namespace {

std::string public_name(ggml_backend_dev_t device) {
    std::string name = ggml_backend_dev_name(device);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    return name;
}

// A function that the backend's library exports beside ggml's common interface; nullptr where it does not.
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

// What computes on the CPU: kernels of this package, for these types of number, or else ggml.
void add_kernels(std::vector<std::string> & names) {
    bool any = false;
    for (const ggml_type operand : {GGML_TYPE_BF16, GGML_TYPE_F32}) {
        const Kernels * kernels = find_kernels(operand);
        if (kernels) names.push_back(std::string("kernels ") + ggml_type_name(operand) + "=" + kernels->name);
        any = any || kernels;
    }
    if (!any) names.emplace_back("kernels=ggml");
}

// ggml starts its threads for every evaluation anew, and makes do with fewer where it does not get them. So it is asked once
// whether the system grants that many.
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

std::vector<DeviceInfo> devices() {
    load_backends();
    std::vector<DeviceInfo> result;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        const ggml_backend_dev_t device = ggml_backend_dev_get(i);
        const auto type = ggml_backend_dev_type(device);
        size_t free = 0, total = 0;
        ggml_backend_dev_memory(device, &free, &total);
        DeviceInfo info;
        info.name = public_name(device);
        info.description = ggml_backend_dev_description(device);
        info.type = type == GGML_BACKEND_DEVICE_TYPE_CPU     ? "cpu"
                    : type == GGML_BACKEND_DEVICE_TYPE_ACCEL ? "accelerator"
                                                             : "gpu";
        info.memory_total = static_cast<int64_t>(total);
        info.memory_free = static_cast<int64_t>(free);
        info.features = features(device);
        if (info.type == "cpu") add_kernels(info.features);
        result.push_back(std::move(info));
    }
    return result;
}

Device::Device(const std::string & name, int threads, Precision precision) : threads_(threads) {
    load_backends();
    ggml_backend_dev_t found = nullptr;
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
    require_threads(threads);
    open(found);
    if (ggml_backend_dev_type(found) != GGML_BACKEND_DEVICE_TYPE_CPU) {
        open(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
    }
    choose_kernels(name, precision);
    using SetAbort = void (*)(ggml_backend_t, ggml_abort_callback, void *);
    const auto set_abort = backend_function<SetAbort>(backends_.back(), "ggml_backend_set_abort_callback");
    if (set_abort) {
        const auto poll = [](void * data) {
            const Cancellation * cancellation = static_cast<Device *>(data)->cancellation_;
            return cancellation && cancellation->cancelled();
        };
        set_abort(backends_.back(), poll, this);
    }
}

void Device::open(ggml_backend_dev_t device) {
    std::unique_ptr<ggml_backend, FreeBackend> opened(ggml_backend_dev_init(device, nullptr));
    const ggml_backend_t backend = opened.get();
    if (!backend && ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU) throw std::bad_alloc();
    if (!backend) throw Error(ErrorCode::device, "The device " + public_name(device) + " could not be opened.");
    owned_.emplace_back(std::move(opened));
    backends_.push_back(backend);
}

void Device::choose_kernels(const std::string & name, Precision precision) {
    const auto fail = [&](const std::string & what) {
        throw Error(ErrorCode::device, "Expected a precision that the device '" + name + "' computes in, but " + what +
                                           ". Leave the option `precision` out.");
    };
    if (!is_cpu()) {
        if (precision != Precision::automatic) fail("it is the CPU's alone to choose");
        return;
    }
    const Kernels * kernels = nullptr;
    if (precision != Precision::f32) kernels = find_kernels(GGML_TYPE_BF16);
    if (!kernels && precision == Precision::bf16) fail("this processor has no bf16 products (AVX-512 BF16)");
    if (!kernels) kernels = find_kernels(GGML_TYPE_F32);
    if (kernels) cpu_ = std::make_unique<CpuPath>(*kernels, threads_);
}

void Device::set_threads(int threads) {
    using SetThreads = void (*)(ggml_backend_t, int);
    const ggml_backend_t cpu = backends_.back();
    const auto set = backend_function<SetThreads>(cpu, "ggml_backend_set_n_threads");
    if (set) set(cpu, std::min(threads, threads_));
}

void Device::set_cancellation(const Cancellation * cancellation) {
    cancellation_ = cancellation;
}

} // namespace diffusion
