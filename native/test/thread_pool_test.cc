// Every part of a job is computed exactly once, before the job ends.
#include <atomic>
#include <vector>

#include "check.h"
#include "cpu/thread_pool.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

class Counting : public PoolJob {
public:
    explicit Counting(int64_t n) : times_(n) {}
    int64_t parts() const override { return static_cast<int64_t>(times_.size()); }
    void work(int64_t part, Parts & next, int thread) override {
        do {
            times_[part]++;
            if (thread > most_) most_ = thread;
        } while ((part = next.take()) >= 0);
    }
    bool each_once() const {
        for (const auto & times : times_) {
            if (times != 1) return false;
        }
        return true;
    }
    int most_thread() const { return most_; }

private:
    std::vector<std::atomic<int>> times_;
    std::atomic<int> most_ = 0;
};

void test_jobs_one_after_the_other() {
    ThreadPool pool(4);
    bool all = true, few = true;
    for (int i = 0; i < 20000; i++) {
        const int threads = 1 + i % 4;
        Counting job(1 + i * 7 % 50); // destroyed before the next, so that a sanitizer reports late accesses
        pool.run(job, threads);
        all = all && job.each_once();
        few = few && job.most_thread() < threads;
    }
    check(all, "every part is computed once");
    check(few, "no more threads than requested");
}

} // namespace

int main() {
    test_jobs_one_after_the_other();
    for (int i = 0; i < 100; i++) {
        ThreadPool pool(3);
        Counting job(5);
        if (i % 2) pool.run(job, 3);
    }
    check(true, "a pool ends at once, used or not");
    return finish();
}
