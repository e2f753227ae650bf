// Evaluations share the process's cores.
#include <atomic>
#include <thread>
#include <vector>

#include "backend/cores.h"
#include "check.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

void test_never_more_than_there_are() {
    CoreShare share(4);
    std::atomic<int> running = 0, most = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 6; i++) {
        threads.emplace_back([&, n = 1 + i % 3] {
            for (int turn = 0; turn < 200; turn++) {
                share.take(n, Cancellation());
                const int now = running += n;
                int seen = most;
                while (now > seen && !most.compare_exchange_weak(seen, now)) {
                }
                running -= n;
                share.give_back(n);
            }
        });
    }
    for (std::thread & thread : threads) thread.join();
    check(most <= 4, "at most 4 threads of 4 cores");
}

void test_more_threads_than_cores() {
    CoreShare share(2);
    share.take(64, Cancellation());
    Cancellation flag;
    std::thread other([&] {
        bool refused = false;
        try {
            share.take(1, flag);
        } catch (const Error & error) {
            refused = error.code() == ErrorCode::cancelled;
        }
        check(refused, "a cancelled evaluation does not wait for cores");
    });
    flag.cancel();
    other.join();
    share.give_back(64);
    share.take(2, Cancellation());
    check(true, "all cores are free again");
}

} // namespace

int main() {
    test_never_more_than_there_are();
    test_more_threads_than_cores();
    check(physical_cores() >= 1 && physical_cores() <= static_cast<int>(std::thread::hardware_concurrency()),
          "no more physical cores than logical ones");
    return finish();
}
