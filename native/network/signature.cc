// See signature.h.
#include "network/signature.h"

#include <algorithm>

#include "error.h"

namespace diffusion {

namespace {

// Limits on arrays and images, so that no product of sizes overflows here or in a graph.
constexpr int64_t most_elements = int64_t{1} << 32, most_pixels = int64_t{1} << 28;

[[noreturn]] void invalid(const std::string & message) {
    throw Error(ErrorCode::invalid_argument, message);
}

template <typename Named> std::string names_of(const std::vector<Named> & all) {
    std::string names;
    for (const Named & one : all) names += (names.empty() ? "" : ", ") + one.name;
    return names.empty() ? "nothing" : names;
}

std::string shape_text(const std::vector<int64_t> & shape) {
    std::string text;
    for (const int64_t side : shape) text += (text.empty() ? "[" : ", ") + std::to_string(side);
    return text + "]";
}

std::string expected_side(const Side & side, const Sizes & sizes) {
    if (side.size.empty()) return std::to_string(side.factor);
    const auto known = sizes.find(side.size);
    if (known != sizes.end()) return std::to_string(known->second * side.factor);
    return side.factor > 1 ? "a multiple of " + std::to_string(side.factor) : side.size;
}

[[noreturn]] void refuse_shape(const Port & port, const Sizes & sizes, const std::vector<int64_t> & shape) {
    std::string expected;
    for (const Side & side : port.shape) expected += (expected.empty() ? "[" : ", ") + expected_side(side, sizes);
    invalid(port.name + ": expected the shape " + expected + "], received " + shape_text(shape) + ".");
}

// Whether a dimension may have this length. Sets a named size that is not known yet.
bool fits(const Side & side, int64_t length, Sizes & sizes) {
    if (side.size.empty()) return length == side.factor;
    if (length < 1 || length > side.most || length % side.factor != 0) return false;
    return sizes.emplace(side.size, length / side.factor).first->second == length / side.factor;
}

void check_shape(const Port & port, const Array & array, Sizes & sizes) {
    const Sizes before = sizes;
    const auto & shape = array.shape;
    bool fit = shape.size() == port.shape.size();
    int64_t n = 1;
    for (size_t i = 0; fit && i < shape.size(); i++) {
        fit = fits(port.shape[i], shape[i], sizes);
        n *= shape[i];
        if (fit && n > most_elements) invalid(port.name + ": expected at most 2^32 values.");
    }
    if (!fit) refuse_shape(port, before, shape);
    const size_t have = std::visit([](const auto & values) { return values.size(); }, array.values);
    if (have != 0 && static_cast<int64_t>(have) != n) {
        invalid(port.name + ": the number of values does not match the shape.");
    }
}

// The length of the dimension with the named size; 0 if there is none.
int64_t length_of(const Port & port, const char * size, const Sizes & sizes) {
    for (const Side & side : port.shape) {
        const auto known = side.size == size ? sizes.find(size) : sizes.end();
        if (known != sizes.end()) return side.factor * known->second;
    }
    return 0;
}

void check_pixels(const std::vector<Port> & ports, const std::string & of, const Sizes & sizes) {
    for (const Port & port : ports) {
        const int64_t width = length_of(port, "width", sizes), height = length_of(port, "height", sizes);
        if (width > 0 && height > most_pixels / width) invalid(of + ": expected at most 2^28 pixels in an image.");
    }
}

void check_ids(const Port & port, const Array & array, const Sizes & sizes) {
    if (std::visit([](const auto & values) { return values.empty(); }, array.values)) return; // in an estimate
    const auto * ids = std::get_if<std::vector<int32_t>>(&array.values);
    if ((port.type == GGML_TYPE_I32) != (ids != nullptr)) {
        invalid(port.name + ": expected values of type " + ggml_type_name(port.type) + ".");
    }
    if (!ids) return;
    const auto more = sizes.find(port.more_ids);
    const int64_t end = port.ids + (more == sizes.end() ? 0 : more->second);
    for (const int32_t id : *ids) {
        if (id < 0 || id >= end) {
            invalid(port.name + ": expected values from 0 to " + std::to_string(end - 1) + ", received " +
                    std::to_string(id) + ".");
        }
    }
}

} // namespace

Sizes check_inputs(const std::vector<Port> & inputs, const std::vector<Port> & outputs, const Arrays & given) {
    for (const auto & [name, array] : given) {
        if (std::ranges::find(inputs, name, &Port::name) == inputs.end()) {
            invalid("inputs: expected " + names_of(inputs) + ", received " + name.substr(0, 64) + ".");
        }
    }
    Sizes sizes;
    for (const Port & port : inputs) {
        const auto found = given.find(port.name);
        if (found != given.end()) {
            check_shape(port, found->second, sizes);
        } else if (!port.optional) {
            invalid("inputs: expected " + port.name + ", received none.");
        }
    }
    for (const Port & port : inputs) {
        const auto found = given.find(port.name);
        if (found != given.end()) check_ids(port, found->second, sizes);
    }
    const std::string & first = inputs.front().name;
    check_pixels(inputs, first, sizes);
    check_pixels(outputs, first, sizes);
    return sizes;
}

Settings check_settings(const std::vector<Setting> & settings, const Settings & given) {
    for (const auto & [name, value] : given) {
        if (std::ranges::find(settings, name, &Setting::name) == settings.end()) {
            invalid("settings: expected " + names_of(settings) + ", received " + name.substr(0, 64) + ".");
        }
    }
    Settings all;
    for (const Setting & setting : settings) {
        const auto found = given.find(setting.name);
        const int64_t value = found == given.end() ? setting.fallback : found->second;
        if (value > setting.most && !setting.refusal.empty()) {
            throw Error(ErrorCode::model_unsupported, setting.refusal);
        }
        if (value < setting.least || value > setting.most) {
            invalid(setting.name + ": expected " + std::to_string(setting.least) + " to " +
                    std::to_string(setting.most) + ".");
        }
        all.emplace(setting.name, value);
    }
    return all;
}

} // namespace diffusion
