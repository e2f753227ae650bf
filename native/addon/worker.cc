// The thread's loop, and the settling of promises on JavaScript's thread.
#include "addon/worker.h"

#include <iterator>
#include <utility>

#include "addon/failure.h"
#include "addon/values.h"
#include "backend/threads.h"

namespace diffusion::addon {

namespace {

Napi::Value cancelled_error(Napi::Env env) {
    return error_to_js(env, ErrorCode::cancelled, "The call was cancelled.");
}
Napi::Value disposed_error(Napi::Env env) {
    return error_to_js(env, ErrorCode::disposed, "The model was disposed.");
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

// Calls a listener on JavaScript's thread.
class Worker::Notice : public Message {
public:
    using Notify = std::function<void(Worker &, Napi::Env)>;
    Notice(std::shared_ptr<Worker> worker, Notify notify) : worker_(std::move(worker)), notify_(std::move(notify)) {}
    void deliver(Napi::Env env) override { notify_(*worker_, env); }

private:
    std::shared_ptr<Worker> worker_;
    Notify notify_;
};

class Worker::Settlement : public Message {
public:
    explicit Settlement(uint64_t id) : id_(id) {}
    void deliver(Napi::Env env) override { worker->settle(env, id_, outcome); }

    std::shared_ptr<Worker> worker; // set when it is posted
    Outcome outcome;

private:
    uint64_t id_;
};

class Worker::End : public Message {
public:
    void deliver(Napi::Env env) override { worker->ended(env); }

    std::shared_ptr<Worker> worker; // set when it is posted
};

Worker::Worker(Environment & environment) : environment_(environment), end_(std::make_unique<End>()) {}

Worker::~Worker() {
    stop();
    join();
}

// --- The thread ------------------------------------------------------------------------------------------------------

// Only the work itself allocates, so that whatever it throws can be reported.
void Worker::run() {
    Owned engine;
    for (Jobs jobs = queue_.next(); !jobs.empty(); jobs = queue_.next()) {
        Job & job = jobs.front();
        running_ = job.id;
        job.settlement->outcome = attempt(job, engine);
        job.settlement->worker = shared_from_this();
        job.work = nullptr; // frees the inputs before the promise settles
        environment_.post(std::move(job.settlement));
    }
    engine.reset();
    end_->worker = shared_from_this();
    environment_.post(std::move(end_));
}

Worker::Outcome Worker::attempt(const Job & job, Owned & engine) {
    try {
        job.cancellation.throw_if_cancelled();
        return job.work(engine, job.cancellation);
    } catch (...) {
        return std::current_exception();
    }
}

void Worker::report_progress(int64_t done, int64_t total) {
    environment_.post(std::make_unique<Notice>(shared_from_this(), [done, total](Worker & self, Napi::Env env) {
        self.notify(env, self.on_progress_, {progress_to_js(env, done, total)});
    }));
}

void Worker::report_log(LogLevel level, const std::string & message) {
    environment_.post(std::make_unique<Notice>(shared_from_this(), [level, message](Worker & self, Napi::Env env) {
        self.notify(env, self.on_log_,
                    {Napi::String::New(env, log_level_name(level)), Napi::String::New(env, message)});
    }));
}

void Worker::report_call_progress(int64_t done, int64_t total) {
    environment_.post(
        std::make_unique<Notice>(shared_from_this(), [id = running_, done, total](Worker & self, Napi::Env env) {
            const auto call = self.calls_.find(id);
            if (call == self.calls_.end() || call->second.cancellation.cancelled()) return;
            self.notify(env, call->second.on_progress, {Napi::Number::New(env, done), Napi::Number::New(env, total)});
        }));
}

// --- JavaScript's thread ---------------------------------------------------------------------------------------------

Napi::Promise Worker::call(Napi::Env env, const Cancellation & cancellation, const char * purpose, Work work,
                           Napi::Object keep_alive, Napi::Function on_progress) {
    const auto deferred = Napi::Promise::Deferred::New(env);
    if (cancellation.cancelled() || queue_.stopped().cancelled()) {
        deferred.Reject(cancellation.cancelled() ? cancelled_error(env) : disposed_error(env));
        if (!adopted_) stop();
        return deferred.Promise();
    }
    try {
        Call call{deferred, cancellation, purpose, {}, {}};
        if (!on_progress.IsEmpty()) call.on_progress = Napi::Persistent(on_progress);
        if (!keep_alive.IsEmpty()) call.keep_alive = Napi::Persistent(keep_alive);
        start();
        enqueue(env, std::move(call), std::move(work));
    } catch (...) {
        deferred.Reject(failure_to_js(env, std::current_exception(), purpose));
        if (!adopted_) stop();
    }
    return deferred.Promise();
}

void Worker::start() {
    if (thread_.joinable()) return;
    environment_.keep(shared_from_this());
    try {
        thread_ = start_thread([this] { run(); });
    } catch (...) {
        environment_.forget(*this);
        throw;
    }
}

// Allocates everything before it changes anything.
void Worker::enqueue(Napi::Env env, Call call, Work work) {
    const uint64_t id = next_id_++;
    Jobs job;
    job.push_back({id, call.cancellation.linked(queue_.stopped()), std::move(work), std::make_unique<Settlement>(id)});
    calls_.emplace(id, std::move(call));
    environment_.hold(env);
    queue_.push(std::move(job));
}

void Worker::reject_cancelled(Napi::Env env) {
    const Jobs rejected = queue_.take_if([](const Job & job) { return job.cancellation.cancelled(); });
    // They are cancelled, so settle() ignores the outcome.
    for (const Job & job : rejected) settle(env, job.id, {});
}

// Removes a call completely before its promise settles, because that may run JavaScript (promise hooks).
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
        call.deferred.Reject(cancelled_error(env));
    } else if (queue_.stopped().cancelled()) {
        call.deferred.Reject(disposed_error(env));
    } else if (const auto * failure = std::get_if<std::exception_ptr>(&outcome)) {
        call.deferred.Reject(failure_to_js(env, *failure, call.purpose));
    } else {
        try {
            call.deferred.Resolve(std::get<Result>(outcome)(env));
        } catch (...) {
            call.deferred.Reject(failure_to_js(env, std::current_exception(), call.purpose));
        }
    }
    if (!adopted_) stop();
}

void Worker::adopt(Napi::Object model) {
    adopted_ = true;
    on_progress_.Reset();
    if (on_log_.IsEmpty()) return;
    // From now on the model, not the worker, references the listener. Otherwise a listener that references its model
    // would keep it from being garbage collected.
    const auto name = Napi::Symbol::New(model.Env(), "onLog");
    model.DefineProperty(Napi::PropertyDescriptor::Value(name, on_log_.Value(), napi_default));
    on_log_.Unref();
}

void Worker::stop() {
    queue_.stop();
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
    // Calls that were stopped before their turn.
    while (!calls_.empty()) settle(env, calls_.begin()->first, {});
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
                    std::initializer_list<napi_value> arguments) {
    const auto function = listener.IsEmpty() ? Napi::Function() : listener.Value();
    if (function.IsEmpty() || queue_.stopped().cancelled()) return;
    // The C interface, because it returns any thrown value unchanged.
    if (napi_call_function(env, env.Undefined(), function, arguments.size(), arguments.begin(), nullptr) == napi_ok)
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
