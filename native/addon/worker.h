// One thread that works for one model or network: it runs calls in their order, and their promises settle on JavaScript's thread.
#pragma once

#include <exception>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include <napi.h>

#include "addon/environment.h"
#include "addon/job_queue.h"
#include "backend/log.h"
#include "cancellation.h"

namespace diffusion::addon {

// Makes the value that a promise resolves with, on JavaScript's thread.
using Result = std::function<Napi::Value(Napi::Env)>;
// What a worker owns, of a type that its calls agree on.
using Owned = std::shared_ptr<void>;
// The work of a call, on the worker's thread. The engine is empty until a call opens one.
using Work = std::function<Result(Owned & engine, const Cancellation &)>;

// Belongs to JavaScript's thread, but for the `report_` functions. No handle of JavaScript's ever leaves that thread.
class Worker : public std::enable_shared_from_this<Worker> {
public:
    explicit Worker(Environment & environment);
    ~Worker();
    Worker(const Worker &) = delete;
    Worker & operator=(const Worker &) = delete;

    // Queues a call, and starts the thread with the first. Its promise rejects with ERR_CANCELLED once `cancellation` was
    // raised, at once if the call still waits, else as soon as the work notices; and likewise with ERR_DISPOSED once the
    // worker was stopped. `purpose` stands in the error where memory is short, see failure_to_js; `keep_alive` is kept from the
    // garbage collector until the promise settles.
    Napi::Promise call(Napi::Env env, const Cancellation & cancellation, const char * purpose, Work work,
                       Napi::Object keep_alive = {});
    void reject_cancelled(Napi::Env env);

    // The model that owns this worker from now on, and stops it. Without one, a worker stops after its first call.
    void adopt(Napi::Object model);

    // Tells the thread to give up its work, free the engine and end; does not wait for that.
    void stop();
    // Stops, and resolves when the engine is freed and all calls are settled.
    Napi::Promise dispose(Napi::Env env);
    void join();

    // Who hears of progress and logs; either may be empty. What a listener throws ends the opening, whose promise
    // rejects with it; once the model is open, it is an uncaught exception.
    void listen(Napi::Function on_progress, Napi::Function on_log);
    void report_progress(int64_t done, int64_t total);
    void report_log(LogLevel level, const std::string & message);

    // For the end of the environment, when promises cannot settle any more.
    void drop_references();

private:
    using Outcome = std::variant<Result, std::exception_ptr>;
    class Notice;
    class Settlement;
    class End;
    // With what tells of its outcome, so that this needs no memory when there is none left.
    struct Job {
        uint64_t id;
        Cancellation cancellation;
        Work work;
        std::unique_ptr<Settlement> settlement;
    };
    using Jobs = JobQueue<Job>::Jobs;
    struct Call {
        Napi::Promise::Deferred deferred;
        Cancellation cancellation;
        const char * purpose;
        Napi::ObjectReference keep_alive;
    };

    void run();
    static Outcome attempt(const Job & job, Owned & engine);

    void start();
    void enqueue(Napi::Env env, Call call, Work work);
    Call take_call(Napi::Env env, uint64_t id);
    void settle(Napi::Env env, uint64_t id, const Outcome & outcome);
    void ended(Napi::Env env);
    void notify(Napi::Env env, const Napi::FunctionReference & listener, std::initializer_list<napi_value> arguments);

    Environment & environment_;

    // Of JavaScript's thread.
    uint64_t next_id_ = 0;
    std::map<uint64_t, Call> calls_;
    std::vector<Napi::Promise::Deferred> disposals_;
    Napi::FunctionReference on_progress_;
    Napi::FunctionReference on_log_;
    bool adopted_ = false;
    bool ended_ = false;

    JobQueue<Job> queue_; // of both threads

    std::unique_ptr<End> end_;
    std::thread thread_;
};

} // namespace diffusion::addon
