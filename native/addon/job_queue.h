// A queue of jobs from one thread to another, which does them in order.
#pragma once

#include <condition_variable>
#include <iterator>
#include <list>
#include <mutex>

#include "cancellation.h"

namespace diffusion::addon {

// Any thread. Jobs move between lists, so that nothing here allocates.
template <typename Job> class JobQueue {
public:
    using Jobs = std::list<Job>;

    void push(Jobs jobs) {
        {
            const std::lock_guard lock(mutex_);
            waiting_.splice(waiting_.end(), jobs);
        }
        changed_.notify_one();
    }

    // Waits for a job and removes it. Empty once the queue is stopped, even if jobs are left.
    Jobs next() {
        Jobs jobs;
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stopped_.cancelled() || !waiting_.empty(); });
        if (!stopped_.cancelled()) jobs.splice(jobs.end(), waiting_, waiting_.begin());
        return jobs;
    }

    // Removes the waiting jobs that fulfil the condition.
    template <typename Condition> Jobs take_if(const Condition & condition) {
        Jobs taken;
        const std::lock_guard lock(mutex_);
        for (auto job = waiting_.begin(); job != waiting_.end();) {
            const auto next = std::next(job);
            if (condition(*job)) taken.splice(taken.end(), waiting_, job);
            job = next;
        }
        return taken;
    }

    void stop() {
        {
            const std::lock_guard lock(mutex_);
            stopped_.cancel();
        }
        changed_.notify_one();
    }

    // Set by stop().
    const Cancellation & stopped() const { return stopped_; }

private:
    Cancellation stopped_;
    std::mutex mutex_;
    std::condition_variable changed_;
    Jobs waiting_;
};

} // namespace diffusion::addon
