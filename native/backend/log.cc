// See log.h.
#include "backend/log.h"

#include <mutex>

#include "ggml.h"

namespace diffusion {

namespace {

thread_local const LogSink * current = nullptr;

void route(ggml_log_level level, const char * text, void *) {
    thread_local LogLevel last = LogLevel::info;
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
