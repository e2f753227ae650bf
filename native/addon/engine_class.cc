// Reads the options of opening, which are the same for all engines.
#include "addon/engine_class.h"

#include <chrono>

namespace diffusion::addon {

namespace {

// Progress that a person can follow; more of it would only keep the event loop busy.
constexpr auto progress_interval = std::chrono::milliseconds(20);

std::function<void(int64_t, int64_t)> progress_reporter(Worker & worker) {
    using Clock = std::chrono::steady_clock;
    return [&worker, next = Clock::time_point::min()](int64_t done, int64_t total) mutable {
        const auto now = Clock::now();
        if (now < next && done < total) return;
        next = now + progress_interval;
        worker.report_progress(done, total);
    };
}

} // namespace

Opening prepare_opening(const Napi::Value & value) {
    const auto object = read_object(value, "options");
    Opening opening;
    opening.options.device = read_string(object.Get("device"), "device");
    opening.options.threads = read_threads(object.Get("threads"));
    opening.options.profile = object.Get("profile").ToBoolean();
    opening.options.precision = read_precision(object.Get("precision"));
    if (object.Get("mmap").StrictEquals(Napi::Boolean::New(value.Env(), false)))
        opening.options.placement = Placement::copied;
    opening.cancellation = read_cancellation(object.Get("cancellation"));
    const auto on_progress = read_listener(object.Get("onProgress"), "onProgress");
    const auto on_log = read_listener(object.Get("onLog"), "onLog");

    opening.worker = Environment::of(value.Env()).make_worker();
    opening.worker->listen(on_progress, on_log);
    // The worker outlives what it opens: a plain reference will do.
    if (!on_progress.IsEmpty()) opening.options.on_progress = progress_reporter(*opening.worker);
    if (!on_log.IsEmpty()) {
        opening.options.on_log = [&worker = *opening.worker](LogLevel level, const std::string & message) {
            worker.report_log(level, message);
        };
    }
    return opening;
}

} // namespace diffusion::addon
