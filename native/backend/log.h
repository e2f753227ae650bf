// Brings messages, ggml's among them, to the model whose call made them.
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

// Tells the scope of this thread of something that is worth telling and is no error.
void log_warning(const std::string & message);

} // namespace diffusion
