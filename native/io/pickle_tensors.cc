// Walks through the values of a checkpoint and reads the tensors in it.
#include "io/pickle_tensors.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <optional>

#include "io/file_error.h"
#include "io/shape.h"

namespace diffusion {

namespace {

// Shared values turn a few bytes of pickle into a large tree, so the walk has its own limits.
constexpr int deepest = 32;
constexpr size_t most_visits = most_pickle_values;
constexpr size_t most_tensors = 100'000;
constexpr size_t longest_name = 512;
constexpr size_t most_metadata = 1000;
constexpr size_t longest_metadata = 1000;
constexpr size_t most_dimensions = 64;
// With strides of 0, a few bytes can have any shape; weights never do.
constexpr uint64_t most_repeated = 1 << 24;

std::optional<std::string> metadata_text(const PickleValue & value) {
    switch (value.kind) {
        case PickleKind::boolean: return value.integer ? "true" : "false";
        case PickleKind::integer: return std::to_string(value.integer);
        case PickleKind::real: {
            char text[32];
            std::snprintf(text, sizeof text, "%.9g", value.real);
            return text;
        }
        case PickleKind::text:
            if (value.text.size() <= longest_metadata && is_utf8(value.text)) return std::string(value.text);
            return std::nullopt;
        default: return std::nullopt;
    }
}

bool is_contiguous(const std::vector<uint64_t> & shape, const std::vector<uint64_t> & strides) {
    if (std::ranges::find(shape, 0u) != shape.end()) return true;
    uint64_t expected = 1; // the product of a shape that count_elements() accepts
    for (size_t i = shape.size(); i > 0; i--) {
        if (shape[i - 1] == 1) continue; // its stride is never used
        if (strides[i - 1] != expected) return false;
        expected *= shape[i - 1];
    }
    return true;
}

// Numbers from the first to the last. Nothing if that overflows.
std::optional<uint64_t> reach(const std::vector<uint64_t> & shape, const std::vector<uint64_t> & strides) {
    uint64_t last = 0;
    for (size_t i = 0; i < shape.size(); i++) {
        const auto span = checked_multiply(shape[i] - 1, strides[i]);
        constexpr uint64_t most = std::numeric_limits<int64_t>::max();
        if (!span || *span >= most - last) return std::nullopt;
        last += *span;
    }
    return last + 1;
}

// A tensor may also be the root itself, without a name.
bool may_hold_tensors(const PickleValue & root) {
    switch (root.kind) {
        case PickleKind::dict:
        case PickleKind::list:
        case PickleKind::tuple: return true;
        case PickleKind::object:
            return root.type->role == ClassRole::tensor || root.type->role == ClassRole::parameter ||
                   root.type->role == ClassRole::container;
        default: return false;
    }
}

class Collector {
public:
    Collector(const Pickle & pickle, const std::string & path, const StorageLookup & find_storage,
              const Cancellation & cancellation)
        : pickle_(pickle), path_(path), find_storage_(find_storage), cancellation_(cancellation) {}

    PickledTensors collect() {
        const PickleValue & root = pickle_.at(pickle_.root);
        if (!may_hold_tensors(root)) {
            throw unsupported_file(path_, "expected a dictionary of tensors, found " + describe(root));
        }
        const PickleValue * state = pickle_.find(root, "state_dict");
        if (!state || state->kind != PickleKind::dict) {
            visit(root, 0);
            return std::move(result_);
        }
        for (size_t i = 0; i + 1 < root.items.size(); i += 2) {
            const auto key = key_text(pickle_.at(root.items[i]));
            if (key && *key != "state_dict") add_metadata(*key, pickle_.at(root.items[i + 1]));
        }
        visit(*state, 0);
        return std::move(result_);
    }

private:
    Error tensor_error(const std::string & reason) const {
        return corrupt_file(path_, "tensor " + quote(name_) + " " + reason);
    }

    void count_visits(size_t count) {
        n_visits_ += count;
        if (n_visits_ > most_visits) {
            throw unsupported_file(path_, "its pickle leads to more than " + std::to_string(most_visits) +
                                              " values, more than any checkpoint");
        }
        if (count > 1 || n_visits_ % 4096 == 0) cancellation_.throw_if_cancelled();
    }

    void visit(const PickleValue & value, int depth) {
        count_visits(1);
        if (depth > deepest) {
            throw corrupt_file(path_, "its values are nested more than " + std::to_string(deepest) +
                                          " deep, or hold themselves, at " + quote(name_));
        }
        switch (value.kind) {
            case PickleKind::dict:
                for (size_t i = 0; i + 1 < value.items.size(); i += 2) {
                    const auto key = key_text(pickle_.at(value.items[i]));
                    if (key) visit_member(*key, value.items[i + 1], depth);
                }
                break;
            case PickleKind::list:
            case PickleKind::tuple:
                for (size_t i = 0; i < value.items.size(); i++) visit_member(std::to_string(i), value.items[i], depth);
                break;
            case PickleKind::object: visit_object(value, depth); break;
            default: add_metadata(name_, value);
        }
    }

    void visit_member(const std::string & key, uint32_t index, int depth) {
        const size_t length = name_.size();
        name_ += (depth > 0 ? "." : "") + key;
        if (name_.size() > longest_name) {
            throw unsupported_file(path_, "has a name of more than " + std::to_string(longest_name) +
                                              " bytes: " + quote(name_));
        }
        visit(pickle_.at(index), depth + 1);
        name_.resize(length);
    }

    void visit_object(const PickleValue & object, int depth) {
        const PickleValue & arguments = pickle_.at(object.items[0]);
        switch (object.type->role) {
            case ClassRole::tensor: add_tensor(object, arguments.items); break;
            case ClassRole::parameter:
                if (arguments.items.empty()) throw tensor_error("is a parameter without a tensor");
                visit(pickle_.at(arguments.items[0]), depth + 1);
                break;
            case ClassRole::container: visit_container(object.items[1], depth); break;
            default: break;
        }
    }

    void visit_container(uint32_t state, int depth) {
        if (state == no_value) return;
        count_visits(pickle_.at(state).items.size());
        const PickleValue * parameters = pickle_.find(pickle_.at(state), "_parameters");
        if (parameters) visit(*parameters, depth);
    }

    std::optional<std::string> key_text(const PickleValue & key) const {
        if (key.kind == PickleKind::integer) return std::to_string(key.integer);
        if (key.kind == PickleKind::class_) return std::string(key.type->module) + "." + std::string(key.type->name);
        if (key.kind != PickleKind::text) return std::nullopt;
        if (key.text.size() > longest_name || !is_utf8(key.text) || key.text.find('\0') != std::string_view::npos) {
            throw corrupt_file(path_, "has the key " + quote(key.text) +
                                          ", which is not a valid name: it is longer than " +
                                          std::to_string(longest_name) + " bytes, not UTF-8 or has a NUL character");
        }
        return std::string(key.text);
    }

    void add_metadata(const std::string & name, const PickleValue & value) {
        if (result_.metadata.size() == most_metadata) return;
        if (auto text = metadata_text(value)) result_.metadata.emplace(name, std::move(*text));
    }

    // Arguments: storage, offset, shape and strides in elements, then for ..._v2 what training needs and a dictionary
    // of flags, for ..._v3 the type before the latter.
    void add_tensor(const PickleValue & object, const std::vector<uint32_t> & arguments) {
        const bool has_type = object.type->name == "_rebuild_tensor_v3";
        if (arguments.size() < (has_type ? 7 : 4)) throw tensor_error("lacks a storage, an offset, a shape or strides");
        if (result_.tensors.size() == most_tensors) {
            throw unsupported_file(path_,
                                   "has more than " + std::to_string(most_tensors) + " tensors, more than any model");
        }
        const PickleValue & reference = pickle_.at(arguments[0]);
        if (reference.kind != PickleKind::persistent) throw tensor_error("is made from " + describe(reference));
        const StorageReference storage = read_storage_reference(pickle_, reference, path_);
        const NumberType & type = has_type ? dtype(pickle_.at(arguments[6])) : *storage.type;
        const size_t flags = has_type ? 7 : 6;
        if (arguments.size() > flags && !pickle_.at(arguments[flags]).items.empty()) {
            throw unsupported_file(path_, "tensor " + quote(name_) +
                                              " is conjugated or negated on reading, which is not supported; save it "
                                              "resolved (resolve_conj(), resolve_neg())");
        }
        std::vector<uint64_t> shape = sizes(pickle_.at(arguments[2]), "shape");
        const std::vector<uint64_t> strides = sizes(pickle_.at(arguments[3]), "strides");
        if (shape.size() != strides.size()) {
            throw tensor_error("has the shape " + shape_text(shape) + ", but the strides " + shape_text(strides));
        }
        StoredTensor tensor;
        tensor.name = name_;
        tensor.type = &type;
        place(tensor, storage, size(pickle_.at(arguments[1]), "offset"), shape, strides);
        std::reverse(shape.begin(), shape.end());
        set_shape(tensor, shape);
        result_.tensors.push_back(std::move(tensor));
    }

    void place(StoredTensor & tensor, const StorageReference & storage, uint64_t offset,
               const std::vector<uint64_t> & shape, const std::vector<uint64_t> & strides) {
        const uint8_t * data = find_storage_(storage);
        const auto count = count_elements(shape);
        if (!count) throw tensor_error("has the shape " + shape_text(shape) + ", which is too large");
        tensor.strided = !is_contiguous(shape, strides);
        const auto span = tensor.strided ? reach(shape, strides) : count;
        const uint64_t room = storage.n_bytes / tensor.type->block_bytes;
        if (!span || offset > room || *span > room - offset) {
            throw tensor_error("of shape " + shape_text(shape) +
                               (tensor.strided ? " and strides " + shape_text(strides) : "") +
                               " does not fit into its storage of " + std::to_string(storage.n_bytes) + " bytes");
        }
        if (*count > *span && *count > most_repeated) {
            throw unsupported_file(path_, "tensor " + quote(name_) + " repeats " + std::to_string(*span) +
                                              " numbers to make the shape " + shape_text(shape) +
                                              "; save it contiguous (contiguous())");
        }
        tensor.data = data + offset * tensor.type->block_bytes;
        tensor.n_bytes = static_cast<size_t>(*span * tensor.type->block_bytes);
        for (size_t i = 0; tensor.strided && i < std::min<size_t>(strides.size(), GGML_MAX_DIMS); i++) {
            tensor.strides[i] = static_cast<int64_t>(strides[strides.size() - 1 - i]);
        }
    }

    const NumberType & dtype(const PickleValue & value) const {
        if (value.kind != PickleKind::class_ || value.type->role != ClassRole::dtype) {
            throw tensor_error("has " + describe(value) + " for its type");
        }
        return *find_number_type(value.type->type_name);
    }

    uint64_t size(const PickleValue & value, const char * what) const {
        if (value.kind != PickleKind::integer || value.integer < 0) {
            throw tensor_error("has " + describe(value) + " in its " + what);
        }
        return static_cast<uint64_t>(value.integer);
    }

    std::vector<uint64_t> sizes(const PickleValue & value, const char * what) const {
        if (value.kind != PickleKind::tuple) throw tensor_error("has " + describe(value) + " for its " + what);
        if (value.items.size() > most_dimensions) throw tensor_error("has more than 64 dimensions");
        std::vector<uint64_t> result;
        for (const uint32_t index : value.items) result.push_back(size(pickle_.at(index), what));
        return result;
    }

    const Pickle & pickle_;
    const std::string & path_;
    const StorageLookup & find_storage_;
    const Cancellation & cancellation_;
    std::string name_; // of the visited value
    size_t n_visits_ = 0;
    PickledTensors result_;
};

} // namespace

StorageReference read_storage_reference(const Pickle & pickle, const PickleValue & value, const std::string & path) {
    const auto corrupt = [&] {
        return corrupt_file(path, "its pickle refers to something outside that is not a tensor storage");
    };
    const PickleValue & id = pickle.at(value.items[0]);
    if (id.kind != PickleKind::tuple || id.items.size() < 5) throw corrupt();
    const auto item = [&](size_t i) -> const PickleValue & { return pickle.at(id.items[i]); };
    const PickleValue & type = item(1);
    const PickleValue & count = item(4);
    if (item(0).text != "storage" || type.kind != PickleKind::class_ || type.type->role != ClassRole::storage ||
        item(2).kind != PickleKind::text || count.kind != PickleKind::integer || count.integer < 0) {
        throw corrupt();
    }
    if (id.items.size() > 5 && item(5).kind != PickleKind::none) {
        throw unsupported_file(path, "has a storage that is a view of another, as PyTorch 0.3 wrote it; save it again "
                                     "with a newer PyTorch");
    }
    const NumberType & number = *find_number_type(type.type->type_name);
    const auto n_bytes = checked_multiply(static_cast<uint64_t>(count.integer), number.block_bytes);
    if (!n_bytes) throw corrupt();
    return {&number, item(2).text, *n_bytes};
}

PickledTensors collect_tensors(const Pickle & pickle, const std::string & path, const StorageLookup & find_storage,
                               const Cancellation & cancellation) {
    return Collector(pickle, path, find_storage, cancellation).collect();
}

} // namespace diffusion
