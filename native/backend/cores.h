// The processor's cores, and how evaluations share them.
#pragma once

#include <condition_variable>
#include <list>
#include <mutex>

#include "cancellation.h"

namespace diffusion {

// Physical cores that this process may use; as many threads compute fastest. Counts what affinity and the quotas of
// Linux' control groups leave, whole ones (a thread more than the quota has time for holds up all others), and on
// Apple's processors the fast cores. At least 1.
int physical_cores();

// Threads that compute at the same time in this process, over all models: more than there are cores would only take
// turns, and wait for each other where one thread of an evaluation has none. Evaluations get their threads in the order
// of asking.
class CoreShare {
public:
    explicit CoreShare(int cores) : free_(cores), cores_(cores) {}

    // Waits until `threads` (at most all cores) are free and takes them. Throws Error (cancelled).
    void take(int threads, const Cancellation & cancellation);
    void give_back(int threads);

private:
    int clamp(int threads) const { return threads < cores_ ? threads : cores_; }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::list<int> waiting_; // first come, first served
    int free_;
    const int cores_;
};

// Holds threads of the process-wide share while it lives.
class CoreLease {
public:
    CoreLease(int threads, const Cancellation & cancellation);
    ~CoreLease();
    CoreLease(const CoreLease &) = delete;
    CoreLease & operator=(const CoreLease &) = delete;

private:
    int threads_;
};

} // namespace diffusion
