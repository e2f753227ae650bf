// Jobs are done in order, each once, unless they are removed or the queue is stopped.
#include <algorithm>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "addon/job_queue.h"
#include "check.h"

using namespace diffusion;
using namespace diffusion::addon;
using namespace diffusion::test;

namespace {

struct Job {
    int number;
    Cancellation cancellation;
    std::unique_ptr<int> input;
};

using Queue = JobQueue<Job>;

Queue::Jobs job(int number, const Cancellation & cancellation = {}) {
    Queue::Jobs jobs;
    jobs.push_back({number, cancellation, std::make_unique<int>(number)});
    return jobs;
}

// Does jobs on its own thread until the queue is stopped or it has done number `last`.
class Thread {
public:
    Thread(Queue & queue, int last)
        : thread_([&queue, last, this] {
              for (Queue::Jobs jobs = queue.next(); !jobs.empty(); jobs = queue.next()) {
                  done_.push_back(*jobs.front().input);
                  if (done_.back() == last) break;
              }
          }) {}
    std::vector<int> done() {
        thread_.join();
        return done_;
    }

private:
    std::vector<int> done_;
    std::thread thread_;
};

void test_order() {
    constexpr int last = 2000;
    Queue queue;
    Thread thread(queue, last);
    for (int i = 0; i <= last; i++) queue.push(job(i));
    std::vector<int> expected(last + 1);
    std::iota(expected.begin(), expected.end(), 0);
    check(thread.done() == expected, "each once, in their order");
}

void test_taking_back() {
    constexpr int last = 2000;
    Queue queue;
    Thread thread(queue, last);
    std::vector<int> back;
    for (int i = 0; i < last; i++) {
        const Cancellation cancellation;
        queue.push(job(i, cancellation));
        if (i % 3) continue;
        cancellation.cancel();
        for (const Job & taken : queue.take_if([](const Job & j) { return j.cancellation.cancelled(); })) {
            back.push_back(taken.number);
        }
    }
    queue.push(job(last));
    std::vector<int> all = thread.done();
    all.insert(all.end(), back.begin(), back.end());
    std::sort(all.begin(), all.end());
    std::vector<int> expected(last + 1);
    std::iota(expected.begin(), expected.end(), 0);
    check(all == expected, "a job is either done or taken back");
}

void test_stopping() {
    for (int turn = 0; turn < 200; turn++) {
        Queue queue;
        Thread thread(queue, -1);
        for (int i = 0; i < turn % 5; i++) queue.push(job(i));
        queue.stop();
        const size_t n = thread.done().size();
        check(n <= static_cast<size_t>(turn % 5), "no job from nowhere");
        queue.push(job(9));
        check(queue.next().empty(), "a stopped queue gives no more jobs");
        check(queue.stopped().cancelled(), "it says so");
    }
}

} // namespace

int main() {
    test_order();
    test_taking_back();
    test_stopping();
    return finish();
}
