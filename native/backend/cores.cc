// See cores.h.
#include "backend/cores.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#ifdef _WIN32
#include <windows.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__linux__)
#include <sched.h>
#endif

#include "backend/cgroup.h"

namespace diffusion {

namespace {

int logical_cores() {
    return std::max(1u, std::thread::hardware_concurrency());
}

// At most `cores`, limited by the CPU quota.
int within_quota(int cores) {
    return static_cast<int>(std::max(1.0, std::min<double>(cores, std::floor(cgroup_cores()))));
}

#ifdef _WIN32
int count_cores() {
    DWORD bytes = 0;
    GetLogicalProcessorInformation(nullptr, &bytes);
    std::vector<SYSTEM_LOGICAL_PROCESSOR_INFORMATION> list(bytes / sizeof(SYSTEM_LOGICAL_PROCESSOR_INFORMATION));
    if (!GetLogicalProcessorInformation(list.data(), &bytes)) return logical_cores();
    return static_cast<int>(std::count_if(
        list.begin(), list.end(), [](const auto & item) { return item.Relationship == RelationProcessorCore; }));
}
#elif defined(__APPLE__)
int count_cores() {
    for (const char * name : {"hw.perflevel0.physicalcpu", "hw.physicalcpu"}) {
        int n = 0;
        size_t size = sizeof(n);
        if (sysctlbyname(name, &n, &size, nullptr, 0) == 0 && n > 0) return n;
    }
    return logical_cores();
}
#elif defined(__linux__)
int count_cores() {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return logical_cores();
    std::set<std::string> cores; // each as the list of its logical processors
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &allowed)) continue;
        const std::string cpu = "/sys/devices/system/cpu/cpu" + std::to_string(i);
        std::string siblings;
        std::ifstream(cpu + "/topology/thread_siblings_list") >> siblings;
        cores.insert(siblings.empty() ? std::to_string(i) : siblings);
    }
    return within_quota(static_cast<int>(cores.size()));
}
#else
int count_cores() {
    return logical_cores();
}
#endif

CoreShare & process_share() {
    static CoreShare share(within_quota(logical_cores()));
    return share;
}

} // namespace

int physical_cores() {
    return std::max(1, count_cores());
}

void CoreShare::take(int threads, const Cancellation & cancellation) {
    const int n = clamp(threads);
    std::unique_lock lock(mutex_);
    const auto self = waiting_.insert(waiting_.end(), n);
    const auto leave = [&] {
        waiting_.erase(self);
        changed_.notify_all();
    };
    while (self != waiting_.begin() || free_ < n) {
        // A cancellation does not notify, so poll.
        changed_.wait_for(lock, std::chrono::milliseconds(5));
        if (!cancellation.cancelled()) continue;
        leave();
        cancellation.throw_if_cancelled();
    }
    free_ -= n;
    leave();
}

void CoreShare::give_back(int threads) {
    const std::lock_guard lock(mutex_);
    free_ += clamp(threads);
    changed_.notify_all();
}

CoreLease::CoreLease(int threads, const Cancellation & cancellation) : threads_(threads) {
    process_share().take(threads, cancellation);
}

CoreLease::~CoreLease() {
    process_share().give_back(threads_);
}

} // namespace diffusion
