// See row_delta.h.
#include "graph/row_delta.h"

#include <cstring>

namespace diffusion {

void read_row(ggml_type type, const uint8_t * data, int64_t length, const RowDelta * delta, int64_t row, float * values,
              float * scratch) {
    if (type == GGML_TYPE_F32) {
        std::memcpy(values, data, length * sizeof(float));
    } else {
        ggml_get_type_traits(type)->to_float(data, values, length);
    }
    if (delta) delta->add(row, values, scratch);
}

} // namespace diffusion
