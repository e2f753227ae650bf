// Threads that work through the parts of one operation after the other.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace diffusion {

// What a pool works through. Its parts may be computed in any order, and at the same time.
class PoolJob {
public:
    virtual ~PoolJob() = default;
    virtual int64_t parts() const = 0; // less than 2^32
    class Parts;
    // Computes `part`, and further ones until `next` has none left. Once it has none the job may be over: nothing of it
    // is to be touched then. `thread` counts from 0, the caller of ThreadPool::run.
    virtual void work(int64_t part, Parts & next, int thread) = 0;
};

// A job ends when its parts are done, not when all threads have come by: one that another program holds up between two
// parts holds up nobody. Threads without work look for more for a moment, then sleep.
class ThreadPool {
public:
    // Throws as start_thread() does where the system does not grant that many.
    explicit ThreadPool(int threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool &) = delete;
    ThreadPool & operator=(const ThreadPool &) = delete;

    // Returns when all parts are done; by `threads` threads at most, the caller among them. From one thread at a time.
    void run(PoolJob & job, int threads);

private:
    friend class PoolJob::Parts;

    void serve(int thread);
    void stop();

    // The number of the job in the upper half, the parts that nobody took yet in the lower, in one word: who takes a
    // part knows of which job it is. The last part comes first.
    std::atomic<uint64_t> state_ = 0;
    std::atomic<PoolJob *> job_ = nullptr;
    std::atomic<int64_t> left_ = 0;    // parts that are not done
    std::atomic<int> threads_ = 0;     // that may work on the job
    std::atomic<uint32_t> number_ = 0; // of the job, for those who sleep
    std::atomic<bool> ended_ = false;
    std::vector<std::thread> workers_;
};

// Hands out the parts of one job.
class PoolJob::Parts {
public:
    Parts(ThreadPool & pool, uint32_t number) : pool_(pool), number_(number) {}
    // The next part, or -1 where there is none left. The part taken before is done then.
    int64_t take();

private:
    ThreadPool & pool_;
    uint32_t number_;
    bool holds_ = false;
};

} // namespace diffusion
