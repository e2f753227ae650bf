// Brings ggml's process-wide log to the model whose call made it write.
#pragma once

#include <functional>
#include <string>

namespace diffusion {

enum class LogLevel { debug, info, warn, error };
using LogSink = std::function<void(LogLevel, const std::string &)>;

// While it lives, what ggml logs on this thread goes to `sink`. Threads without a scope are silent.
class LogScope {
public:
    explicit LogScope(const LogSink & sink);
    ~LogScope();
    LogScope(const LogScope &) = delete;
    LogScope & operator=(const LogScope &) = delete;

private:
    const LogSink * previous_;
};

} // namespace diffusion
