// The names under which error codes reach JavaScript.
#include "error.h"

namespace diffusion {

const char * error_code_name(ErrorCode code) {
    switch (code) {
        case ErrorCode::file: return "ERR_FILE";
        case ErrorCode::model_corrupt: return "ERR_MODEL_CORRUPT";
        case ErrorCode::model_unsupported: return "ERR_MODEL_UNSUPPORTED";
        case ErrorCode::model_incomplete: return "ERR_MODEL_INCOMPLETE";
        case ErrorCode::model_mismatch: return "ERR_MODEL_MISMATCH";
        case ErrorCode::out_of_memory: return "ERR_OUT_OF_MEMORY";
        case ErrorCode::device: return "ERR_DEVICE";
        case ErrorCode::non_finite: return "ERR_NON_FINITE";
        case ErrorCode::write: return "ERR_WRITE";
        case ErrorCode::disposed: return "ERR_DISPOSED";
        case ErrorCode::cancelled: return "ERR_CANCELLED";
        case ErrorCode::invalid_argument: return "ERR_INVALID_ARG_VALUE";
    }
    return "ERR_UNKNOWN";
}

} // namespace diffusion
