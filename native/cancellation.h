// A flag that one thread sets and others poll, shared by a call and everything it starts.
#pragma once

#include <atomic>
#include <memory>

#include "error.h"

namespace diffusion {

// Copies share the flag.
class Cancellation {
public:
    Cancellation() : raised_(std::make_shared<std::atomic<bool>>(false)) {}
    void cancel() const { raised_->store(true, std::memory_order_relaxed); }
    bool cancelled() const {
        return raised_->load(std::memory_order_relaxed) || (linked_ && linked_->load(std::memory_order_relaxed));
    }
    void throw_if_cancelled() const {
        if (cancelled()) throw Error(ErrorCode::cancelled, "The operation was cancelled.");
    }
    // This flag, which also reads as set when `other` is; a call's flag is linked to its model's. One link at a time.
    Cancellation linked(const Cancellation & other) const {
        Cancellation both = *this;
        both.linked_ = other.raised_;
        return both;
    }

private:
    std::shared_ptr<std::atomic<bool>> raised_;
    std::shared_ptr<std::atomic<bool>> linked_;
};

} // namespace diffusion
