// Converted files have the same contents as their source, on any number of threads; choices of types; failed and
// cancelled conversions.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "check.h"
#include "convert/conversion.h"
#include "files.h"
#include "io/read_numbers.h"
#include "io/tensor_table.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

struct TestTensor {
    std::string name;
    std::vector<int64_t> shape; // the slowest dimension first
};

int64_t count(const TestTensor & tensor) {
    int64_t n = 1;
    for (const int64_t axis : tensor.shape) n *= axis;
    return n;
}

// Pseudorandom numbers from -1 to 1.
float value(int64_t i) {
    return static_cast<float>(i * 7919 % 10007 - 5003) / 5003;
}

std::string file_of(const std::vector<TestTensor> & tensors) {
    std::string header = "{", data;
    for (const TestTensor & tensor : tensors) {
        std::string shape;
        for (const int64_t axis : tensor.shape) shape += (shape.empty() ? "" : ",") + std::to_string(axis);
        header += (header.size() > 1 ? ",\"" : "\"") + tensor.name + "\":{\"dtype\":\"F32\",\"shape\":[" + shape +
                  "],\"data_offsets\":[" + std::to_string(data.size()) + ",";
        for (int64_t i = 0; i < count(tensor); i++) {
            const float v = value(i);
            data.append(reinterpret_cast<const char *>(&v), sizeof v);
        }
        header += std::to_string(data.size()) + "]}";
    }
    header += "}";
    return little_endian_bytes<uint64_t>(header.size()) + header + data;
}

const TemporaryFolder folder;
const Cancellation never;

Source source_of(const std::string & path) {
    Source source;
    source.model = path;
    return source;
}

ConversionOptions options_for(const std::string & name, const std::string & type, int threads = 1) {
    ConversionOptions options;
    options.output = options.temporary = folder.write(name, "");
    options.format = name.ends_with("gguf") ? TensorFormat::gguf : TensorFormat::safetensors;
    options.types.type = type;
    options.threads = threads;
    return options;
}

ConversionReport convert_file(const std::string & path, const ConversionOptions & options) {
    return convert(
        source_of(path), options, [](int64_t, int64_t) {}, never);
}

// The relative error of all numbers.
double error_of(const StoredTensor & tensor) {
    const std::vector<float> numbers = read_all_numbers(tensor);
    double difference = 0, size = 0;
    for (size_t i = 0; i < numbers.size(); i++) {
        const double v = value(static_cast<int64_t>(i));
        difference += (numbers[i] - v) * (numbers[i] - v);
        size += v * v;
    }
    return std::sqrt(difference / size);
}

// The last one is converted in a number of slices that threads cannot share evenly.
const std::vector<TestTensor> tensors = {
    {"a.vector", {7}}, {"a.weight", {6, 512}}, {"a.kernel", {64, 8, 3, 3}}, {"a.large", {1100, 512}}};

void test_types() {
    const std::string path = folder.write("source.safetensors", file_of(tensors));
    for (const std::string & type : conversion_types()) {
        for (const int threads : {1, 3}) {
            const ConversionOptions options = options_for("types.gguf", type, threads);
            const ConversionReport report = convert_file(path, options);
            const TensorTable table = TensorTable::open(options.output, never);
            check_equal(report.tensors, static_cast<int64_t>(tensors.size()), type + ": all tensors");
            check_equal(static_cast<size_t>(report.n_bytes), table.files().front().n_bytes, type + ": all bytes");
            const double most = type == "q2_k" ? 0.4 : type == "q3_k" ? 0.2 : 0.12;
            for (size_t i = 0; i < tensors.size(); i++) {
                const StoredTensor & read = table.tensors()[i];
                check_equal(read.name, tensors[i].name, type + ": the order");
                check_equal(read.n_elements(), count(tensors[i]), type + ": the shape of " + read.name);
                const bool is_vector = tensors[i].shape.size() == 1;
                const bool plain = find_number_type(type)->block == 1;
                check_equal(std::string(read.type->name), is_vector && !plain ? "f32" : type, read.name);
                check(error_of(read) <= most, type + ": the numbers of " + read.name);
            }
        }
    }
    const ConversionOptions plain = options_for("plain.safetensors", "f32");
    convert_file(path, plain);
    const TensorTable table = TensorTable::open(plain.output, never);
    for (const StoredTensor & read : table.tensors()) {
        check(error_of(read) == 0, "safetensors: the numbers of " + read.name);
    }
}

void test_early_ends() {
    const std::string path = folder.write("source.safetensors", file_of(tensors));
    const Cancellation flag;
    int reports = 0;
    const auto cancel = [&](int64_t, int64_t) {
        reports++;
        flag.cancel();
    };
    check_throws("cancelled in the middle", ErrorCode::cancelled, "cancelled",
                 [&] { convert(source_of(path), options_for("ended.gguf", "q4_k"), cancel, flag); });
    check_equal(reports, 1, "no work is done after that");

    ConversionOptions missing = options_for("ended.gguf", "q4_k");
    missing.temporary += "/none";
    check_throws("a folder that does not exist", ErrorCode::write, "Cannot write",
                 [&] { convert_file(path, missing); });

    check_throws("its own source", ErrorCode::write, "Expected an output file other than the source files", [&] {
        ConversionOptions own = options_for("ended.gguf", "f16");
        own.output = path;
        convert_file(path, own);
    });
    check_throws("an invalid pattern", ErrorCode::invalid_argument, "regular expression", [&] {
        ConversionOptions rules = options_for("ended.gguf", "f16");
        rules.types.rules = {{"(", "f16"}};
        convert_file(path, rules);
    });
}

// The name of a type for each tensor of a model.
std::string type_for(const std::string & name, FileKind kind, ModelPart component, const std::vector<int64_t> & ne,
                     const std::string & type, bool keep_convolutions = false) {
    StoredTensor stored;
    stored.name = name;
    stored.n_dims = static_cast<int>(ne.size());
    std::ranges::copy(ne, stored.ne);
    const TypeChoice choose(TensorFormat::gguf, kind, {type, {}}, keep_convolutions);
    const Storage storage = choose({name, name, component, &stored});
    return std::string(storage.type->name) + (storage.row ? " in rows" : "");
}

void test_choices() {
    const auto model = [](const std::string & name, ModelPart component, const std::vector<int64_t> & ne,
                          const std::string & type,
                          bool keep = false) { return type_for(name, FileKind::model, component, ne, type, keep); };
    const std::string unet = "model.diffusion_model.";
    check_equal(model(unet + "output_blocks.1.1.proj_in.weight", ModelPart::unet, {320, 320}, "q4_0"), "q4_0",
                "matrix");
    check_equal(model(unet + "output_blocks.1.1.proj_in.weight", ModelPart::unet, {320, 320}, "q4_k"), "q5_0",
                "K-quant");
    check_equal(model(unet + "output_blocks.1.0.in_layers.2.weight", ModelPart::unet, {3, 3, 320, 320}, "q6_k"),
                "q6_k in rows", "kernel");
    check_equal(model(unet + "output_blocks.1.0.in_layers.2.weight", ModelPart::unet, {3, 3, 320, 320}, "q6_k", true),
                "f16", "kernel that is kept");
    check_equal(model(unet + "output_blocks.1.0.in_layers.2.weight", ModelPart::unet, {3, 3, 4, 5}, "q4_0"), "f16",
                "kernel without full rows");
    check_equal(model(unet + "input_blocks.0.0.weight", ModelPart::unet, {3, 3, 32, 320}, "q4_0"), "f16",
                "first layer");
    check_equal(model(unet + "out.2.weight", ModelPart::unet, {3, 3, 320, 32}, "q4_0"), "f16", "last layer");
    check_equal(model(unet + "out.2.weight", ModelPart::unet, {3, 3, 320, 4}, "bf16"), "bf16", "last layer in bf16");
    check_equal(model(unet + "out.0.weight", ModelPart::unet, {320}, "q4_0"), "f32", "norm");
    check_equal(model("first_stage_model.decoder.conv_in.weight", ModelPart::vae, {3, 3, 32, 512}, "q4_0"), "f16",
                "VAE");
    check_equal(model("depth_model.pretrained.x.weight", ModelPart::none, {512, 512}, "q4_0"), "f16",
                "depth estimator");
    check_equal(model("alphas_cumprod", ModelPart::none, {1000}, "f16"), "f32", "noise levels");
    check_equal(type_for("x.weight", FileKind::upscaler, ModelPart::none, {512, 512}, "q4_0"), "f16", "upscaler");
    check_equal(type_for("x.weight", FileKind::lora, ModelPart::none, {512, 512}, "q4_0"), "q4_0", "LoRA");
}

} // namespace

int main() {
    test_types();
    test_early_ends();
    test_choices();
    return finish();
}
