// See thread_pool.h.
#include "cpu/thread_pool.h"

#include <chrono>

#include "backend/threads.h"

namespace diffusion {

namespace {

// How long threads spin: a graph's operations follow each other within microseconds; waking a thread takes tens of
// them.
constexpr auto patience = std::chrono::microseconds(50);

// Waits until `value` is no longer `old`: first spins, then sleeps.
template <typename T> void wait_while(std::atomic<T> & value, T old) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (value.load(std::memory_order_acquire) == old) {
        if (std::chrono::steady_clock::now() > deadline) {
            value.wait(old, std::memory_order_acquire);
            return;
        }
        std::this_thread::yield();
    }
}

} // namespace

int64_t PoolJob::Parts::take() {
    if (holds_ && pool_.left_.fetch_sub(1, std::memory_order_acq_rel) == 1) pool_.left_.notify_one();
    holds_ = false;
    uint64_t state = pool_.state_.load(std::memory_order_acquire);
    while (state >> 32 == number_ && (state & UINT32_MAX) > 0) {
        if (!pool_.state_.compare_exchange_weak(state, state - 1, std::memory_order_acq_rel)) continue;
        holds_ = true;
        return static_cast<int64_t>((state & UINT32_MAX) - 1);
    }
    return -1;
}

ThreadPool::ThreadPool(int threads) {
    try {
        workers_.reserve(threads);
        for (int i = 1; i < threads; i++) workers_.push_back(start_thread([this, i] { serve(i); }));
    } catch (...) {
        stop();
        throw;
    }
}

ThreadPool::~ThreadPool() {
    stop();
}

void ThreadPool::stop() {
    ended_ = true;
    number_++;
    number_.notify_all();
    for (std::thread & worker : workers_) worker.join();
}

void ThreadPool::run(PoolJob & job, int threads) {
    const int64_t parts = job.parts();
    const uint32_t number = number_.load(std::memory_order_relaxed) + 1;
    left_.store(parts, std::memory_order_relaxed);
    job_.store(&job, std::memory_order_relaxed);
    threads_.store(threads, std::memory_order_relaxed);
    state_.store(static_cast<uint64_t>(number) << 32 | static_cast<uint64_t>(parts), std::memory_order_release);
    number_.store(number, std::memory_order_release);
    if (threads > 1 && parts > 1) number_.notify_all();

    PoolJob::Parts next(*this, number);
    if (const int64_t part = next.take(); part >= 0) job.work(part, next, 0);
    for (int64_t left = left_.load(std::memory_order_acquire); left > 0; left = left_.load(std::memory_order_acquire)) {
        wait_while(left_, left);
    }
}

void ThreadPool::serve(int thread) {
    uint32_t seen = 0;
    while (true) {
        wait_while(number_, seen);
        seen = number_.load(std::memory_order_acquire);
        if (ended_) return;
        if (thread >= threads_.load(std::memory_order_relaxed)) continue;
        // The job stays alive while a part of it is taken; without one it may have been destroyed.
        PoolJob::Parts next(*this, seen);
        if (const int64_t part = next.take(); part >= 0) job_.load(std::memory_order_relaxed)->work(part, next, thread);
    }
}

} // namespace diffusion
