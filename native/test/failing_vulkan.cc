// Makes a Vulkan device fail. Preloaded into Node (LD_PRELOAD) it replaces Vulkan's functions; loaded as an addon, its
// function `fail` chooses what fails from then on: `memory` refuses all memory, `device` loses the device that is used next,
// which stays lost, and `nothing` is as without it.

#include <dlfcn.h>
#include <node_api.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>

// Vulkan's own declarations, as far as they are needed here.
extern "C" {
using Result = int32_t;
using Device = void *;
using Queue = void *;
using Handle = uint64_t;
using Function = void (*)();
}

namespace {

constexpr Result out_of_device_memory = -2, device_lost = -4;

std::mutex mutex;
std::string failing = "nothing";
std::map<Queue, Device> devices;
std::set<Device> lost;

// Whether a call on the device fails because it is lost.
bool loses(Device device) {
    const std::lock_guard lock(mutex);
    if (failing == "device") lost.insert(device);
    return lost.contains(device);
}

using SubmitFunction = Result (*)(Queue, uint32_t, const void *, Handle);
using WaitFunction = Result (*)(Device, uint32_t, const Handle *, uint32_t, uint64_t);
using StatusFunction = Result (*)(Device, Handle);
using AllocateFunction = Result (*)(Device, const void *, const void *, Handle *);
using QueueFunction = void (*)(Device, const void *, Queue *);
using GetFunction = Function (*)(void *, const char *);

SubmitFunction real_submit;
WaitFunction real_wait;
StatusFunction real_status;
AllocateFunction real_allocate;
QueueFunction real_queue;
GetFunction real_get_device;

Result submit(Queue queue, uint32_t n, const void * submits, Handle fence) {
    Device device = nullptr;
    {
        const std::lock_guard lock(mutex);
        device = devices[queue];
    }
    return loses(device) ? device_lost : real_submit(queue, n, submits, fence);
}

Result wait(Device device, uint32_t n, const Handle * fences, uint32_t all, uint64_t timeout) {
    return loses(device) ? device_lost : real_wait(device, n, fences, all, timeout);
}

Result status(Device device, Handle fence) {
    return loses(device) ? device_lost : real_status(device, fence);
}

Result allocate(Device device, const void * info, const void * callbacks, Handle * memory) {
    {
        const std::lock_guard lock(mutex);
        if (failing == "memory") return out_of_device_memory;
    }
    return real_allocate(device, info, callbacks, memory);
}

void get_queue(Device device, const void * info, Queue * queue) {
    real_queue(device, info, queue);
    const std::lock_guard lock(mutex);
    devices[*queue] = device;
    lost.erase(device); // a new one, at the address of another
}

Function get_device(void * device, const char * name);

// The replacement for the function with the name, if there is one; `found` is Vulkan's.
Function replaced(const char * name, Function found) {
    if (!found) return nullptr;
    const auto by = [&](const char * other, auto & real, auto replacement) -> Function {
        if (std::strcmp(name, other) != 0) return nullptr;
        real = reinterpret_cast<std::decay_t<decltype(real)>>(found);
        return reinterpret_cast<Function>(replacement);
    };
    if (Function f = by("vkQueueSubmit", real_submit, submit)) return f;
    if (Function f = by("vkWaitForFences", real_wait, wait)) return f;
    if (Function f = by("vkGetFenceStatus", real_status, status)) return f;
    if (Function f = by("vkAllocateMemory", real_allocate, allocate)) return f;
    if (Function f = by("vkGetDeviceQueue2", real_queue, get_queue)) return f;
    if (Function f = by("vkGetDeviceProcAddr", real_get_device, get_device)) return f;
    return found;
}

Function get_device(void * device, const char * name) {
    return replaced(name, real_get_device(device, name));
}

napi_value fail(napi_env env, napi_callback_info info) {
    napi_value argument;
    size_t n = 1;
    napi_get_cb_info(env, info, &n, &argument, nullptr, nullptr);
    char what[16];
    napi_get_value_string_utf8(env, argument, what, sizeof(what), &n);
    const std::lock_guard lock(mutex);
    failing = what;
    return nullptr;
}

} // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Function vkGetInstanceProcAddr(void * instance, const char * name) {
    static const auto real =
        reinterpret_cast<GetFunction>(dlsym(dlopen("libvulkan.so.1", RTLD_NOW), "vkGetInstanceProcAddr"));
    return replaced(name, real(instance, name));
}

EXPORT napi_value napi_register_module_v1(napi_env env, napi_value exports) {
    napi_value function;
    napi_create_function(env, "fail", NAPI_AUTO_LENGTH, fail, nullptr, &function);
    napi_set_named_property(env, exports, "fail", function);
    return exports;
}
