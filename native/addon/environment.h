// What the addon keeps for one JavaScript environment (the main thread, a worker thread, an Electron context): its line
// to the event loop and its workers. There is no other state, and none is shared between environments.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <napi.h>

namespace diffusion::addon {

class Worker;

// Something to do on JavaScript's thread.
using Task = std::function<void(Napi::Env)>;

// Belongs to JavaScript's thread, but for `post`.
class Environment {
public:
    // Makes the environment of `env` and binds its end to that of `env`.
    static Environment & create(Napi::Env env);
    static Environment & of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

    explicit Environment(Napi::Env env);
    Environment(const Environment &) = delete;
    Environment & operator=(const Environment &) = delete;

    // Queues a task for the event loop; tasks run in the order of their posting. Any thread.
    void post(Task task);
    // While there are more holds than releases, the event loop stays alive.
    void hold(Napi::Env env);
    void release(Napi::Env env);

    // Throws Error (disposed) when the environment is about to end.
    std::shared_ptr<Worker> start_worker();
    // Of a worker whose thread has ended.
    void forget(const Worker & worker);
    // Rejects the calls whose flag was raised while they waited for their turn.
    void reject_cancelled(Napi::Env env);

    Napi::FunctionReference model_class, image_network_class;
    // Set while an instance of these is constructed: the worker that it takes.
    std::shared_ptr<Worker> opened;

private:
    static void run_task(Napi::Env env, Napi::Function, Environment *, Task * task);
    using Line = Napi::TypedThreadSafeFunction<Environment, Task, run_task>;

    void stop_workers();
    void end();

    Line line_;
    size_t holds_ = 0;
    bool ending_ = false;
    std::vector<std::shared_ptr<Worker>> workers_;
};

} // namespace diffusion::addon
