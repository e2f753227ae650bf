// Routes log messages, including ggml's, to the model whose call caused them.
#pragma once

#include <functional>
#include <string>

namespace diffusion {

enum class LogLevel { debug, info, warn, error };
using LogSink = std::function<void(LogLevel, const std::string &)>;

// While it exists, ggml's messages on this thread go to `sink`. Threads without a scope log nothing.
class LogScope {
public:
    explicit LogScope(const LogSink & sink);
    ~LogScope();
    LogScope(const LogScope &) = delete;
    LogScope & operator=(const LogScope &) = delete;

private:
    const LogSink * previous_;
};

// Sends a warning to this thread's scope.
void log_warning(const std::string & message);

} // namespace diffusion
