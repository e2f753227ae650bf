// Deterministic mutations of small valid files: each either opens, and then all its tensors lie within the file, or
// throws an Error. Meant for a build with sanitizers.
#include <cstring>

#include "check.h"
#include "files.h"
#include "io/mapped_file.h"
#include "io/read_numbers.h"
#include "io/tensor_table.h"
#include "source/source.h"
#include "torch_files.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

constexpr int n_mutations = 20000;

class Mutator {
public:
    explicit Mutator(uint32_t seed) : random_(seed) {}

    // Up to four changes: a byte, a run of bytes, a number, a cut, a repetition, or a swap of two places.
    std::string mutate(std::string bytes) {
        for (uint32_t n = 1 + below(4); n > 0 && !bytes.empty(); n--) change(bytes);
        return bytes;
    }

private:
    uint32_t below(size_t limit) { return static_cast<uint32_t>(random_() % limit); }

    char byte() {
        constexpr char telling[] = {0,   1,   -1,  127, -128, '{', '}',  '[', ']',
                                    '"', ',', ':', '-', '0',  '9', '\\', '.', 'e'};
        return below(2) ? telling[below(sizeof telling)] : static_cast<char>(below(256));
    }

    void change(std::string & bytes) {
        const size_t place = below(bytes.size());
        const size_t length = std::min<size_t>(1 + below(16), bytes.size() - place);
        switch (below(7)) {
            case 0: bytes[place] = byte(); break;
            case 1: bytes[place] = static_cast<char>(bytes[place] ^ 1 << below(8)); break;
            case 2: bytes.insert(place, length, byte()); break;
            case 3: bytes.erase(place, length); break;
            case 4: bytes.insert(below(bytes.size()), bytes.substr(place, length)); break;
            case 5: bytes.resize(place); break;
            default: {
                constexpr uint64_t numbers[] = {
                    0, 1, 0x7F, 0xFFFFFFFF, 0x80000000, ~uint64_t(0), ~uint64_t(0) >> 1, 1ull << 40};
                const std::string number = little_endian_bytes(numbers[below(8)]);
                bytes.replace(place, std::min<size_t>(below(2) ? 8 : 4, bytes.size() - place), number);
            }
        }
    }

    std::mt19937 random_; // gives the same numbers on all platforms
};

// Reads every byte of all tensors, so that a sanitizer reports any outside the mapping.
bool lies_within_files(const TensorTable & table) {
    unsigned sum = 0;
    for (const StoredTensor & tensor : table.tensors()) {
        const MappedFile & file = *table.files().at(static_cast<size_t>(tensor.file)).mapping;
        const size_t offset = static_cast<size_t>(tensor.data - file.data());
        if (offset > file.size() || tensor.n_bytes > file.size() - offset || tensor.n_elements() < 0) return false;
        for (size_t i = 0; i < tensor.n_bytes; i++) sum += tensor.data[i];
        if (!has_numbers(tensor) || tensor.n_elements() > 100000) continue;
        for (const float value : read_all_numbers(tensor)) sum += value > 0;
    }
    volatile unsigned kept = sum; // keeps the loop above from being optimized away
    (void)kept;
    return true;
}

// Mutates `bytes`, which may be only a part of a file; `wrap` adds the rest.
void fuzz(
    const TemporaryFolder & folder, const char * what, const std::string & name, const std::string & bytes,
    const std::function<std::string(const std::string &)> & wrap = [](const std::string & file) { return file; }) {
    Mutator mutator(static_cast<uint32_t>(bytes.size()));
    int n_opened = 0, n_refused = 0;
    for (int i = 0; i < n_mutations; i++) {
        const std::string path = folder.write(name, wrap(mutator.mutate(bytes)));
        try {
            const ModelTensors model = open_source({path, "", "", ""}, {});
            n_opened++;
            if (!lies_within_files(model.table)) check(false, std::string(what) + ": data outside of the file");
        } catch (const Error & error) {
            n_refused++;
            const bool sound = std::strlen(error.what()) > 0 && error.code() != ErrorCode::invalid_argument;
            if (!sound) check(false, std::string(what) + ": " + error.what());
        }
    }
    std::printf("%s: %d of %d mutations opened, %d refused\n", what, n_opened, n_mutations, n_refused);
    check(n_opened > 0 && n_refused > 0, std::string(what) + ": mutations of both kinds");
}

std::string small_gguf() {
    return Gguf()
        .value("text", 8, Gguf::text("value"))
        .value("list", 9, little_endian_bytes<uint32_t>(4) + little_endian_bytes<uint64_t>(2) + std::string(8, '\1'))
        .value("comfy.gguf.orig_shape.unet.up_blocks.0.attentions.0.proj_in.weight", 9,
               little_endian_bytes<uint32_t>(5) + little_endian_bytes<uint64_t>(3) + little_endian_bytes<uint32_t>(4) +
                   little_endian_bytes<uint32_t>(8) + little_endian_bytes<uint32_t>(2))
        .value("general.alignment", 4, little_endian_bytes<uint32_t>(32))
        .tensor("unet.down_blocks.0.resnets.0.norm1.weight", {4, 2}, GGML_TYPE_F32, 0)
        .tensor("unet.up_blocks.0.attentions.0.proj_in.weight", {32, 2}, GGML_TYPE_Q8_0, 32)
        .bytes(128)
        .file();
}

Opcodes small_checkpoint() {
    const Opcodes tensor = tensor_value(storage_value("HalfStorage", "0", 8), 2, {2, 3}, {3, 1});
    return dict_value(
        {text_value("epoch"), "K\1", text_value("callbacks"), class_value("torch", "Size") + ")R",
         text_value("state_dict"),
         call_value("collections", "OrderedDict", {}) + "q\1(" + text_value("down_blocks.0.resnets.0.norm1.bias") +
             tensor + "q\2" + text_value("up_blocks.2.x") +
             tensor_value(storage_value("HalfStorage", "0", 8), 1, {2, 2, 2}, {1, 3, 0}) + text_value("up_blocks.1.x") +
             call_value("torch._utils", "_rebuild_parameter", {"h\2"}) + "u}b"});
}

} // namespace

int main() {
    const TemporaryFolder folder;
    folder.write("one.safetensors", safetensors_of({"a", "b"}));
    folder.write("two.safetensors", safetensors_of({"c"}));
    fuzz(folder, "safetensors", "fuzz",
         safetensors_of({"down_blocks.0.resnets.0.norm1.bias", "up_blocks.1.x", "a"}, R"({"k":"v"})"));
    fuzz(folder, "gguf", "fuzz", small_gguf());
    fuzz(folder, "index", "fuzz",
         R"({"weight_map":{"a":"one.safetensors","b":"one.safetensors","c":"two.safetensors"}})");
    const std::string scaled =
        R"({"unet.up_blocks.1.x.weight":{"dtype":"F8_E4M3","shape":[2,4],"data_offsets":[0,8]},)"
        R"("unet.up_blocks.1.x.scale_weight":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})";
    fuzz(folder, "8-bit floats", "fuzz", safetensors(scaled, 16));
    const std::string data(16, '\1');
    fuzz(folder, "pickle", "fuzz", pickle(small_checkpoint()), [&](const std::string & mutated) {
        return Zip().add("archive/data.pkl", mutated).add("archive/data/0", data).file();
    });
    fuzz(folder, "PyTorch zip", "fuzz", torch_zip(small_checkpoint(), {{"0", data}}).file());
    fuzz(folder, "PyTorch without zip", "fuzz", torch_pickles(small_checkpoint(), "](" + text_value("0") + "e", data));
    return finish();
}
