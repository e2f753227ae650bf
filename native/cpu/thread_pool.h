// Threads that compute the parts of one operation at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace diffusion {

// A job for a pool. Its parts may be computed in any order, and at the same time.
class PoolJob {
public:
    virtual ~PoolJob() = default;
    virtual int64_t parts() const = 0; // less than 2^32
    class Parts;
    // Computes `part`, and further parts until `next` has none left. After that the job may have been destroyed and
    // must not be accessed. `thread` counts from 0, the caller of ThreadPool::run.
    virtual void work(int64_t part, Parts & next, int thread) = 0;
};

// A job ends when its parts are done, without waiting for all threads: one that is preempted between two parts delays
// nobody. Idle threads spin briefly, then sleep.
class ThreadPool {
public:
    // Throws as start_thread() does if the system does not grant that many threads.
    explicit ThreadPool(int threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool &) = delete;
    ThreadPool & operator=(const ThreadPool &) = delete;

    // Returns when all parts are done, on at most `threads` threads including the caller. One thread at a time may call
    // it.
    void run(PoolJob & job, int threads);

private:
    friend class PoolJob::Parts;

    void serve(int thread);
    void stop();

    // The job's number in the upper half, the count of parts not yet taken in the lower: one word, so that a part is
    // taken from the expected job only. The last part is taken first.
    std::atomic<uint64_t> state_ = 0;
    std::atomic<PoolJob *> job_ = nullptr;
    std::atomic<int64_t> left_ = 0;    // parts that are not done
    std::atomic<int> threads_ = 0;     // that may work on the job
    std::atomic<uint32_t> number_ = 0; // of the job; sleeping threads wait for it to change
    std::atomic<bool> ended_ = false;
    std::vector<std::thread> workers_;
};

// Hands out the parts of one job.
class PoolJob::Parts {
public:
    Parts(ThreadPool & pool, uint32_t number) : pool_(pool), number_(number) {}
    // The next part, or -1 if none is left. Marks the part taken before as done.
    int64_t take();

private:
    ThreadPool & pool_;
    uint32_t number_;
    bool holds_ = false;
};

} // namespace diffusion
