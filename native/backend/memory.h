// How much memory a device has left, asked before it is taken: an allocation that the system cannot back would end the
// process later, without an error.
#pragma once

#include <cstddef>
#include <string>

#include "ggml-backend.h"

#include "error.h"

namespace diffusion {

// Bytes that can still be had on the backend's device; SIZE_MAX where that is not known.
size_t available_memory(ggml_backend_t backend);

// Throws Error (out_of_memory) when `bytes` exceed what is available. `purpose` reads as in "memory for <purpose>".
void require_memory(size_t bytes, ggml_backend_t backend, const std::string & purpose);

Error out_of_memory(size_t bytes, ggml_backend_t backend, const std::string & purpose);

} // namespace diffusion
