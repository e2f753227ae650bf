// The addon's state for one JavaScript environment (the main thread, a worker thread, an Electron context): its queue
// to the event loop and its workers. There is no other state, and none is shared between environments.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include <napi.h>

namespace diffusion::addon {

class Worker;

// A message to JavaScript's thread. Messages that must not fail for lack of memory are allocated in advance.
class Message {
public:
    virtual ~Message() = default;
    virtual void deliver(Napi::Env env) = 0;
};

// Belongs to JavaScript's thread, except for `post`.
class Environment {
public:
    // Creates the environment of `env`, which ends with it.
    static Environment & create(Napi::Env env);
    static Environment & of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

    explicit Environment(Napi::Env env);
    Environment(const Environment &) = delete;
    Environment & operator=(const Environment &) = delete;

    // Queues a message for the event loop; messages are delivered in order. Any thread. Allocates nothing itself.
    void post(std::unique_ptr<Message> message) noexcept;
    // The event loop stays alive while there are more holds than releases.
    void hold(Napi::Env env);
    void release(Napi::Env env);

    // Creates a worker, which starts with its first call. Throws Error (disposed) if the environment is ending.
    std::shared_ptr<Worker> make_worker();
    // Keeps a worker alive while its thread runs.
    void keep(std::shared_ptr<Worker> worker) { workers_.push_back(std::move(worker)); }
    void forget(const Worker & worker);
    // Rejects queued calls that were cancelled.
    void reject_cancelled(Napi::Env env);

    Napi::FunctionReference model_class, handle_class;
    Napi::FunctionReference float32_array; // the constructor
    // Set while a Model or Handle is constructed, which takes it.
    std::shared_ptr<Worker> opened;

private:
    static void deliver(Napi::Env env, Napi::Function, Environment *, Message * message);
    using Queue = Napi::TypedThreadSafeFunction<Environment, Message, deliver>;

    void stop_workers();
    void end();

    Queue queue_;
    size_t holds_ = 0;
    bool ending_ = false;
    std::vector<std::shared_ptr<Worker>> workers_;
};

} // namespace diffusion::addon
