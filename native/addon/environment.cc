// The life of an environment: from the addon's load to the moment when its JavaScript thread goes away.
#include "addon/environment.h"

#include <algorithm>
#include <utility>

#include "addon/worker.h"
#include "error.h"

namespace diffusion::addon {

Environment & Environment::create(Napi::Env env) {
    auto * environment = new Environment(env);
    env.SetInstanceData(environment); // which deletes it, after the hook below
    // Hooks run last in, first out: this one comes before that of the line, made in the constructor, so workers may
    // post until they are joined. It is all that a terminated worker thread gets.
    env.AddCleanupHook([](Environment * ended) { ended->end(); }, environment);
    // `process.exit()` on the main thread runs no cleanup hook, but the destructors of the process's static objects,
    // under the feet of any thread that still computes.
    const auto process = env.Global().Get("process").As<Napi::Object>();
    process.Get("on").As<Napi::Function>().Call(
        process, {Napi::String::New(env, "exit"), Napi::Function::New(env, [environment](const Napi::CallbackInfo &) {
                      environment->stop_workers();
                  })});
    return *environment;
}

Environment::Environment(Napi::Env env) : line_(Line::New(env, "node-diffusion", 0, 1, this)) {
    line_.Unref(env);
}

void Environment::post(std::unique_ptr<Message> message) noexcept {
    // Fails when the environment has ended: then the message is dropped.
    if (line_.NonBlockingCall(message.get()) == napi_ok) message.release();
}

void Environment::deliver(Napi::Env env, Napi::Function, Environment *, Message * message) {
    const std::unique_ptr<Message> owned(message);
    // Without an `env` the thread is ending: nothing can be settled any more.
    if (env != nullptr) owned->deliver(env);
}

void Environment::hold(Napi::Env env) {
    if (holds_++ == 0) line_.Ref(env);
}

void Environment::release(Napi::Env env) {
    if (--holds_ == 0) line_.Unref(env);
}

std::shared_ptr<Worker> Environment::make_worker() {
    if (ending_) throw Error(ErrorCode::disposed, "The process or thread that owns the addon is ending.");
    return std::make_shared<Worker>(*this);
}

void Environment::forget(const Worker & worker) {
    std::erase_if(workers_, [&](const auto & known) { return known.get() == &worker; });
}

void Environment::reject_cancelled(Napi::Env env) {
    // By index, for a promise hook may run JavaScript that opens or disposes a model. A call that is passed over then is
    // rejected when its turn comes.
    for (size_t i = 0; i < workers_.size(); i++) {
        const auto worker = workers_[i];
        worker->reject_cancelled(env);
    }
}

void Environment::stop_workers() {
    ending_ = true;
    // All are told before one is waited for, so that the waits overlap.
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
    line_.Release();
}

} // namespace diffusion::addon
