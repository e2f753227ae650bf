// The processor's cores, and how evaluations share them.
#pragma once

#include <condition_variable>
#include <list>
#include <mutex>

#include "cancellation.h"

namespace diffusion {

// Physical cores that this process may use, which is the fastest number of threads. Respects affinity and the quotas of
// Linux control groups, rounded down (one thread too many for the quota delays all others); on Apple processors only
// counts performance cores. At least 1.
int physical_cores();

// Limits the threads that compute at the same time in this process, over all models, to the number of cores: with more,
// the threads of an evaluation would wait for one that has no core. Requests are served in order.
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
    std::list<int> waiting_; // in the order of their requests
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
