// The thread of one model or image network: it runs calls in order, and their promises settle on JavaScript's thread.
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

// Creates the value that a promise resolves with, on JavaScript's thread.
using Result = std::function<Napi::Value(Napi::Env)>;
// The object that a worker owns; its calls know the type.
using Owned = std::shared_ptr<void>;
// The work of a call, on the worker's thread. `engine` is empty until a call opens one.
using Work = std::function<Result(Owned & engine, const Cancellation &)>;

// Belongs to JavaScript's thread, except for the `report_` functions. No JavaScript handle leaves that thread.
class Worker : public std::enable_shared_from_this<Worker> {
public:
    explicit Worker(Environment & environment);
    ~Worker();
    Worker(const Worker &) = delete;
    Worker & operator=(const Worker &) = delete;

    // Queues a call; the first one starts the thread. Its promise rejects with ERR_CANCELLED after `cancellation`, at
    // once if the call is still queued, otherwise when the work notices, and likewise with ERR_DISPOSED after stop().
    // `purpose` is for the error if memory is short, see failure_to_js. `keep_alive` is not garbage collected until the
    // promise settles.
    Napi::Promise call(Napi::Env env, const Cancellation & cancellation, const char * purpose, Work work,
                       Napi::Object keep_alive = {}, Napi::Function on_progress = {});
    void reject_cancelled(Napi::Env env);

    // `model` owns this worker from now on and stops it. Without one, a worker stops after its first call.
    void adopt(Napi::Object model);

    // Makes the thread cancel its work, free the engine and end, without waiting for it.
    void stop();
    // Stops, and resolves once the engine is freed and all calls are settled.
    Napi::Promise dispose(Napi::Env env);
    void join();

    // Sets the listeners for progress and logs; either may be empty. An exception from a listener rejects the promise
    // of opening the model; once the model is open, it is an uncaught exception.
    void listen(Napi::Function on_progress, Napi::Function on_log);
    void report_progress(int64_t done, int64_t total);
    void report_log(LogLevel level, const std::string & message);
    // For the listener of the call that is being run, if it has one. What that throws is an uncaught exception.
    void report_call_progress(int64_t done, int64_t total);

    // For the end of the environment, when promises can no longer settle.
    void drop_references();

private:
    using Outcome = std::variant<Result, std::exception_ptr>;
    class Notice;
    class Settlement;
    class End;
    // Includes the message with its outcome, so that reporting it needs no memory later.
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
        Napi::FunctionReference on_progress;
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

    // Used by JavaScript's thread.
    uint64_t next_id_ = 0;
    std::map<uint64_t, Call> calls_;
    std::vector<Napi::Promise::Deferred> disposals_;
    Napi::FunctionReference on_progress_;
    Napi::FunctionReference on_log_;
    bool adopted_ = false;
    bool ended_ = false;

    JobQueue<Job> queue_; // used by both threads

    uint64_t running_ = 0; // the call that the thread runs; of the thread
    std::unique_ptr<End> end_;
    std::thread thread_;
};

} // namespace diffusion::addon
