// See log.h.
#include "backend/log.h"

#include <mutex>

#include "ggml.h"

namespace diffusion {

namespace {

// By default glibc allocates a thread-local variable at its first use, and aborts if there is no memory. With the
// initial-exec TLS model it is allocated when the thread starts.
#ifdef __GLIBC__
#define THREAD_LOCAL __attribute__((tls_model("initial-exec"))) thread_local
#else
#define THREAD_LOCAL thread_local
#endif

THREAD_LOCAL const LogSink * current = nullptr;
THREAD_LOCAL LogLevel last = LogLevel::info; // level of ggml's last message, for continued lines

void log(ggml_log_level level, const char * text) {
    if (!current || !*current) return;
    if (level != GGML_LOG_LEVEL_CONT) {
        last = level == GGML_LOG_LEVEL_ERROR  ? LogLevel::error
               : level == GGML_LOG_LEVEL_WARN ? LogLevel::warn
               : level == GGML_LOG_LEVEL_INFO ? LogLevel::info
                                              : LogLevel::debug;
    }
    std::string line = text;
    while (!line.empty() && line.back() == '\n') line.pop_back();
    if (!line.empty()) (*current)(last, line);
}

// Called from C, often when memory is short: a line that there is no memory for is lost.
void route(ggml_log_level level, const char * text, void *) noexcept {
    try {
        log(level, text);
    } catch (...) {
    }
}

} // namespace

LogScope::LogScope(const LogSink & sink) : previous_(current) {
    static std::once_flag once;
    std::call_once(once, [] { ggml_log_set(route, nullptr); });
    current = &sink;
}

LogScope::~LogScope() {
    current = previous_;
}

void log_warning(const std::string & message) {
    if (current && *current) (*current)(LogLevel::warn, message);
}

} // namespace diffusion
