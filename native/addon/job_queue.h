// Jobs that one thread hands to another, which does them in their order.
#pragma once

#include <condition_variable>
#include <iterator>
#include <list>
#include <mutex>

#include "cancellation.h"

namespace diffusion::addon {

// Any thread. Jobs move from list to list, so that nothing here takes memory.
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

    // Waits for a job, the first of the list. None when the queue is stopped, whatever still waits.
    Jobs next() {
        Jobs jobs;
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stopped_.cancelled() || !waiting_.empty(); });
        if (!stopped_.cancelled()) jobs.splice(jobs.end(), waiting_, waiting_.begin());
        return jobs;
    }

    // Those that wait and fulfil the condition.
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

    // Raised by stop().
    const Cancellation & stopped() const { return stopped_; }

private:
    Cancellation stopped_;
    std::mutex mutex_;
    std::condition_variable changed_;
    Jobs waiting_;
};

} // namespace diffusion::addon
