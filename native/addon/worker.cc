// The worker's two sides: the thread's loop, and the settling of promises on JavaScript's thread.
#include "addon/worker.h"

#include <new>
#include <stdexcept>
#include <utility>

#include "addon/values.h"

namespace diffusion::addon {

namespace {

// What an exception of the work means to a caller.
Error describe_current_exception() {
    try {
        throw;
    } catch (const Error & error) {
        return error;
    } catch (const std::bad_alloc &) {
        return Error(ErrorCode::out_of_memory, "The memory for this call cannot be had.");
    } catch (const std::length_error &) {
        return Error(ErrorCode::out_of_memory, "The call asks for more memory than can be addressed.");
    } catch (const std::exception & error) {
        // The engine throws nothing else itself, so that this comes from a driver (Vulkan's C++ interface throws).
        return Error(ErrorCode::device, std::string("The device failed: ") + error.what());
    } catch (...) {
        return Error(ErrorCode::device, "The device failed for an unknown reason.");
    }
}

Error cancelled_error() {
    return Error(ErrorCode::cancelled, "The call was cancelled.");
}
Error disposed_error() {
    return Error(ErrorCode::disposed, "The model was disposed.");
}

const char * log_level_name(LogLevel level) {
    switch (level) {
        case LogLevel::debug: return "debug";
        case LogLevel::info: return "info";
        case LogLevel::warn: return "warn";
        case LogLevel::error: break;
    }
    return "error";
}

} // namespace

Worker::Worker(Environment & environment) : environment_(environment), thread_([this] { run(); }) {}

Worker::~Worker() {
    stop();
    join();
}

// --- The thread ------------------------------------------------------------------------------------------------------

void Worker::run() {
    Owned engine;
    for (Job job; next(job);) {
        auto outcome = attempt(job, engine);
        job.work = nullptr; // the inputs are freed before the promise settles
        environment_.post([self = shared_from_this(), id = job.id, outcome = std::move(outcome)](Napi::Env env) {
            self->settle(env, id, outcome);
        });
    }
    engine.reset();
    environment_.post([self = shared_from_this()](Napi::Env env) { self->ended(env); });
}

// Waits for a job. False when the worker is stopped, whatever still waits.
bool Worker::next(Job & job) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stopped_.cancelled() || !queue_.empty(); });
    if (stopped_.cancelled()) return false;
    job = std::move(queue_.front());
    queue_.pop_front();
    return true;
}

Worker::Outcome Worker::attempt(const Job & job, Owned & engine) {
    try {
        job.cancellation.throw_if_cancelled();
        return job.work(engine, job.cancellation);
    } catch (...) {
        return describe_current_exception();
    }
}

void Worker::report_progress(int64_t done, int64_t total) {
    environment_.post([self = shared_from_this(), done, total](Napi::Env env) {
        self->notify(env, self->on_progress_, {progress_to_js(env, done, total)});
    });
}

void Worker::report_log(LogLevel level, const std::string & message) {
    environment_.post([self = shared_from_this(), level, message](Napi::Env env) {
        self->notify(env, self->on_log_,
                     {Napi::String::New(env, log_level_name(level)), Napi::String::New(env, message)});
    });
}

// --- JavaScript's thread ---------------------------------------------------------------------------------------------

Napi::Promise Worker::call(Napi::Env env, const Cancellation & cancellation, Work work, Napi::Object keep_alive) {
    Call call{Napi::Promise::Deferred::New(env), cancellation, {}};
    const auto promise = call.deferred.Promise();
    if (cancellation.cancelled() || stopped_.cancelled()) {
        const auto error = cancellation.cancelled() ? cancelled_error() : disposed_error();
        call.deferred.Reject(error_to_js(env, error));
        if (!adopted_) stop();
        return promise;
    }
    if (!keep_alive.IsEmpty()) call.keep_alive = Napi::Persistent(keep_alive);
    const uint64_t id = next_id_++;
    calls_.emplace(id, std::move(call));
    environment_.hold(env);
    {
        const std::lock_guard lock(mutex_);
        queue_.push_back({id, cancellation.linked(stopped_), std::move(work)});
    }
    changed_.notify_one();
    return promise;
}

void Worker::reject_cancelled(Napi::Env env) {
    std::deque<Job> rejected;
    {
        const std::lock_guard lock(mutex_);
        std::erase_if(queue_, [&](Job & job) {
            const bool cancelled = job.cancellation.cancelled();
            if (cancelled) rejected.push_back(std::move(job));
            return cancelled;
        });
    }
    for (const auto & job : rejected) settle(env, job.id, cancelled_error());
}

// Nothing of a call stays behind when its promise settles, for that may run JavaScript (promise hooks).
Worker::Call Worker::take_call(Napi::Env env, uint64_t id) {
    const auto found = calls_.find(id);
    Call call = std::move(found->second);
    calls_.erase(found);
    environment_.release(env);
    return call;
}

void Worker::settle(Napi::Env env, uint64_t id, const Outcome & outcome) {
    if (!calls_.contains(id)) return; // a listener threw
    const Call call = take_call(env, id);
    if (call.cancellation.cancelled()) {
        call.deferred.Reject(error_to_js(env, cancelled_error()));
    } else if (stopped_.cancelled()) {
        call.deferred.Reject(error_to_js(env, disposed_error()));
    } else if (const auto * error = std::get_if<Error>(&outcome)) {
        call.deferred.Reject(error_to_js(env, *error));
    } else {
        try {
            call.deferred.Resolve(std::get<Result>(outcome)(env));
        } catch (const Napi::Error & error) {
            call.deferred.Reject(error.Value());
        }
    }
    if (!adopted_) stop();
}

void Worker::adopt(Napi::Object model) {
    adopted_ = true;
    on_progress_.Reset();
    if (on_log_.IsEmpty()) return;
    // From here the model holds the listener, not the worker: a listener that knows its model would else keep it from
    // the garbage collector for ever.
    const auto name = Napi::Symbol::New(model.Env(), "onLog");
    model.DefineProperty(Napi::PropertyDescriptor::Value(name, on_log_.Value(), napi_default));
    on_log_.Unref();
}

void Worker::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopped_.cancel();
    }
    changed_.notify_one();
}

Napi::Promise Worker::dispose(Napi::Env env) {
    const auto deferred = Napi::Promise::Deferred::New(env);
    if (ended_) {
        deferred.Resolve(env.Undefined());
    } else {
        disposals_.push_back(deferred);
        environment_.hold(env);
        stop();
    }
    return deferred.Promise();
}

void Worker::ended(Napi::Env env) {
    const auto self = shared_from_this();
    join();
    ended_ = true;
    environment_.forget(*this);
    // What was stopped before its turn.
    while (!calls_.empty()) settle(env, calls_.begin()->first, disposed_error());
    for (const auto & deferred : std::exchange(disposals_, {})) {
        environment_.release(env);
        deferred.Resolve(env.Undefined());
    }
    drop_references();
}

void Worker::join() {
    if (thread_.joinable()) thread_.join();
}

void Worker::listen(Napi::Function on_progress, Napi::Function on_log) {
    if (!on_progress.IsEmpty()) on_progress_ = Napi::Persistent(on_progress);
    if (!on_log.IsEmpty()) on_log_ = Napi::Persistent(on_log);
}

void Worker::notify(Napi::Env env, const Napi::FunctionReference & listener,
                    const std::vector<napi_value> & arguments) {
    const auto function = listener.IsEmpty() ? Napi::Function() : listener.Value();
    if (function.IsEmpty() || stopped_.cancelled()) return;
    // Node's own interface, for it hands over whatever was thrown as it is.
    if (napi_call_function(env, env.Undefined(), function, arguments.size(), arguments.data(), nullptr) == napi_ok)
        return;
    napi_value thrown = nullptr;
    if (napi_get_and_clear_last_exception(env, &thrown) != napi_ok) return;
    if (adopted_) {
        napi_fatal_exception(env, thrown);
    } else {
        stop();
        const Call call = take_call(env, calls_.begin()->first);
        call.deferred.Reject(thrown);
    }
}

void Worker::drop_references() {
    calls_.clear();
    on_progress_.Reset();
    on_log_.Reset();
}

} // namespace diffusion::addon
