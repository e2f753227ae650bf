// The lifetime of an environment: from loading the addon to the end of its JavaScript thread.
#include "addon/environment.h"

#include <algorithm>
#include <utility>

#include "addon/worker.h"
#include "error.h"

namespace diffusion::addon {

Environment & Environment::create(Napi::Env env) {
    auto * environment = new Environment(env);
    env.SetInstanceData(environment); // deletes it after the hook below has run
    // Hooks run in reverse order: this one runs before that of the queue, which the constructor created, so workers may
    // post until they are joined. A terminated worker thread only gets hooks.
    env.AddCleanupHook([](Environment * ended) { ended->end(); }, environment);
    // `process.exit()` on the main thread runs no cleanup hooks, only the destructors of static objects, which threads
    // that still compute may be using.
    const auto process = env.Global().Get("process").As<Napi::Object>();
    process.Get("on").As<Napi::Function>().Call(
        process, {Napi::String::New(env, "exit"), Napi::Function::New(env, [environment](const Napi::CallbackInfo &) {
                      environment->stop_workers();
                  })});
    return *environment;
}

Environment::Environment(Napi::Env env) : queue_(Queue::New(env, "node-diffusion", 0, 1, this)) {
    queue_.Unref(env);
}

void Environment::post(std::unique_ptr<Message> message) noexcept {
    // Fails if the environment has ended; the message is then dropped.
    if (queue_.NonBlockingCall(message.get()) == napi_ok) message.release();
}

void Environment::deliver(Napi::Env env, Napi::Function, Environment *, Message * message) {
    const std::unique_ptr<Message> owned(message);
    // Without `env` the thread is ending, and promises cannot settle any more.
    if (env != nullptr) owned->deliver(env);
}

void Environment::hold(Napi::Env env) {
    if (holds_++ == 0) queue_.Ref(env);
}

void Environment::release(Napi::Env env) {
    if (--holds_ == 0) queue_.Unref(env);
}

std::shared_ptr<Worker> Environment::make_worker() {
    if (ending_) throw Error(ErrorCode::disposed, "The process or thread that owns the addon is ending.");
    return std::make_shared<Worker>(*this);
}

void Environment::forget(const Worker & worker) {
    std::erase_if(workers_, [&](const auto & known) { return known.get() == &worker; });
}

void Environment::reject_cancelled(Napi::Env env) {
    // By index, because a promise hook may run JavaScript that opens or disposes a model. A call that is skipped
    // because of that is rejected when its turn comes.
    for (size_t i = 0; i < workers_.size(); i++) {
        const auto worker = workers_[i];
        worker->reject_cancelled(env);
    }
}

void Environment::stop_workers() {
    ending_ = true;
    // All are stopped before any is joined, so that the waits overlap.
    for (const auto & worker : workers_) worker->stop();
    for (const auto & worker : workers_) worker->join();
}

void Environment::end() {
    stop_workers();
    for (const auto & worker : workers_) worker->drop_references();
    workers_.clear();
    model_class.Reset();
    handle_class.Reset();
    float32_array.Reset();
    queue_.Release();
}

} // namespace diffusion::addon
