// A flag that one thread raises and others poll, shared by a call and everything it starts.
#pragma once

#include <atomic>
#include <memory>

#include "error.h"

namespace diffusion {

class Cancellation {
public:
    Cancellation() : state_(std::make_shared<std::atomic<bool>>(false)) {}
    void cancel() const { state_->store(true, std::memory_order_relaxed); }
    bool cancelled() const { return state_->load(std::memory_order_relaxed); }
    void throw_if_cancelled() const {
        if (cancelled()) throw Error(ErrorCode::cancelled, "The operation was cancelled.");
    }

private:
    std::shared_ptr<std::atomic<bool>> state_;
};

} // namespace diffusion
