// What the addon keeps for one JavaScript environment (the main thread, a worker thread, an Electron context): its line
// to the event loop and its workers. There is no other state, and none is shared between environments.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include <napi.h>

namespace diffusion::addon {

class Worker;

// For JavaScript's thread. What must not fail for lack of memory is made beforehand.
class Message {
public:
    virtual ~Message() = default;
    virtual void deliver(Napi::Env env) = 0;
};

// Belongs to JavaScript's thread, but for `post`.
class Environment {
public:
    // Makes the environment of `env` and binds its end to that of `env`.
    static Environment & create(Napi::Env env);
    static Environment & of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

    explicit Environment(Napi::Env env);
    Environment(const Environment &) = delete;
    Environment & operator=(const Environment &) = delete;

    // Queues a message for the event loop; messages are delivered in the order of their posting. Any thread. Takes no
    // memory of its own.
    void post(std::unique_ptr<Message> message) noexcept;
    // While there are more holds than releases, the event loop stays alive.
    void hold(Napi::Env env);
    void release(Napi::Env env);

    // A worker, which starts with its first call. Throws Error (disposed) when the environment is about to end.
    std::shared_ptr<Worker> make_worker();
    // Holds a worker while its thread runs.
    void keep(std::shared_ptr<Worker> worker) { workers_.push_back(std::move(worker)); }
    void forget(const Worker & worker);
    // Rejects the calls whose flag was raised while they waited for their turn.
    void reject_cancelled(Napi::Env env);

    Napi::FunctionReference model_class, handle_class;
    Napi::FunctionReference float32_array; // the constructor
    // Set while an instance of these is constructed: the worker that it takes.
    std::shared_ptr<Worker> opened;

private:
    static void deliver(Napi::Env env, Napi::Function, Environment *, Message * message);
    using Line = Napi::TypedThreadSafeFunction<Environment, Message, deliver>;

    void stop_workers();
    void end();

    Line line_;
    size_t holds_ = 0;
    bool ending_ = false;
    std::vector<std::shared_ptr<Worker>> workers_;
};

} // namespace diffusion::addon
