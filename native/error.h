// The exception type of the native side: a stable code for programs and a message for people.
#pragma once

#include <stdexcept>
#include <string>

namespace diffusion {

// The codes of `NativeErrorCode` in lib/native/contract.ts.
enum class ErrorCode {
    file,              // ERR_FILE
    model_corrupt,     // ERR_MODEL_CORRUPT
    model_unsupported, // ERR_MODEL_UNSUPPORTED
    model_incomplete,  // ERR_MODEL_INCOMPLETE
    model_mismatch,    // ERR_MODEL_MISMATCH
    out_of_memory,     // ERR_OUT_OF_MEMORY
    device,            // ERR_DEVICE
    non_finite,        // ERR_NON_FINITE
    write,             // ERR_WRITE
    disposed,          // ERR_DISPOSED
    cancelled,         // ERR_CANCELLED
    invalid_argument,  // ERR_INVALID_ARG_VALUE: the TypeScript layer checks first, so it indicates a defect there
};

const char * error_code_name(ErrorCode code);

class Error : public std::runtime_error {
public:
    Error(ErrorCode code, const std::string & message) : std::runtime_error(message), code_(code) {}
    ErrorCode code() const { return code_; }

private:
    ErrorCode code_;
};

} // namespace diffusion
