// Image networks whose weights are zero, so that their output is known, and tensor names of all spellings.
#include <algorithm>
#include <numeric>

#include "check.h"
#include "files.h"
#include "names/tiny_autoencoder_names.h"
#include "names/upscaler_names.h"
#include "runtime/engine.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

struct Zeros {
    std::string name;
    std::vector<int64_t> shape;
};

std::string file_of(const std::vector<Zeros> & tensors) {
    std::string header = "{";
    size_t end = 0;
    for (const auto & [name, shape] : tensors) {
        const size_t begin = end;
        std::string sizes;
        size_t n = sizeof(float);
        for (const int64_t size : shape) {
            n *= static_cast<size_t>(size);
            if (!sizes.empty()) sizes += ',';
            sizes += std::to_string(size);
        }
        end += n;
        header += std::string(begin ? ",\"" : "\"") + name + R"(":{"dtype":"F32","shape":[)" + sizes +
                  R"(],"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(end) + "]}";
    }
    return safetensors(header + "}", end);
}

void add_conv(std::vector<Zeros> & tensors, const std::string & name, int64_t out, int64_t in) {
    tensors.push_back({name + ".weight", {out, in, 3, 3}});
    tensors.push_back({name + ".bias", {out}});
}

std::vector<Zeros> compact_net(int64_t scale) {
    std::vector<Zeros> tensors;
    add_conv(tensors, "body.0", 5, 3);
    tensors.push_back({"body.1.weight", {5}});
    add_conv(tensors, "body.2", 3 * scale * scale, 5);
    return tensors;
}

std::vector<Zeros> rrdb_net(int64_t in) {
    std::vector<Zeros> tensors;
    add_conv(tensors, "conv_first", 6, in);
    for (int64_t dense = 1; dense <= 3; dense++) {
        for (int64_t i = 0; i < 5; i++) {
            add_conv(tensors, std::string("body.0.rdb") + std::to_string(dense) + ".conv" + std::to_string(i + 1),
                     i < 4 ? 4 : 6, 6 + 4 * i);
        }
    }
    for (const char * name : {"conv_body", "conv_up1", "conv_up2", "conv_hr"}) add_conv(tensors, name, 6, 6);
    add_conv(tensors, "conv_last", 3, 6);
    return tensors;
}

std::unique_ptr<Engine> open(const std::string & path) {
    EngineOptions options;
    options.threads = 2;
    options.precision = Precision::f32;
    return Engine::open_image_network(path, options, Cancellation());
}

std::vector<float> evaluate(Engine & engine, const std::vector<float> & image, const std::vector<int64_t> & shape) {
    return engine.evaluate("upscaler", {{"image", {shape, image}}}, {}, Cancellation()).at("image");
}

void test_evaluation(const TemporaryFolder & folder) {
    const std::vector<int64_t> shape = {2, 3, 2, 4};
    std::vector<float> image(2 * 3 * 2 * 4);
    std::iota(image.begin(), image.end(), 1.0f);
    const auto compact = open(folder.write("compact.safetensors", file_of(compact_net(3))));
    const std::vector<float> large = evaluate(*compact, image, shape);
    check_equal(large.size(), image.size() * 9, "an image three times as large");
    size_t wrong = 0;
    for (size_t i = 0; i < large.size(); i++) {
        const size_t x = i % 12 / 3, y = i / 12 % 6 / 3, plane = i / 72;
        wrong += large[i] != image[(plane * 2 + y) * 4 + x];
    }
    check_equal(wrong, size_t{0}, "it is the image itself, each pixel nine times");

    for (const auto & [in, scale] : {std::pair{3, 4}, std::pair{12, 2}}) {
        const auto rrdb = open(folder.write("rrdb.safetensors", file_of(rrdb_net(in))));
        check_equal(std::get<ImageNetworkInfo>(rrdb->info()).scale, static_cast<int64_t>(scale), "the scale");
        const std::vector<float> black = evaluate(*rrdb, image, shape);
        check_equal(black.size(), image.size() * scale * scale, "the size of the result");
        check(std::ranges::all_of(black, [](float value) { return value == 0; }), "a black image stays black");
        check_throws("too few numbers", ErrorCode::invalid_argument, "does not match", [&] {
            evaluate(*rrdb, image, {2, 3, 2, 2});
        });
    }
}

void test_refusal(const TemporaryFolder & folder) {
    check_throws("an empty file", ErrorCode::model_unsupported, "no tensor",
                 [&] { open(folder.write("none.safetensors", file_of({}))); });
    const std::vector<Zeros> complete = rrdb_net(3);
    for (size_t i = 0; i < complete.size(); i++) { // without any one tensor
        std::vector<Zeros> part = complete;
        part.erase(part.begin() + static_cast<std::ptrdiff_t>(i));
        try {
            open(folder.write("part.safetensors", file_of(part)));
            check(false, "opened without " + complete[i].name);
        } catch (const Error & error) {
            check(error.code() == ErrorCode::model_incomplete || error.code() == ErrorCode::model_unsupported ||
                      error.code() == ErrorCode::model_mismatch,
                  std::string("without ") + complete[i].name + ": " + error.what());
        }
    }
}

void test_names(const TemporaryFolder & folder) {
    const auto canonical = [&](const std::vector<std::string> & names) {
        const std::string path = folder.write("names.safetensors", safetensors_of(names));
        std::vector<std::string> result;
        const TensorTable table = canonical_upscaler(TensorTable::open(path, Cancellation()));
        for (const StoredTensor & tensor : table.tensors()) {
            result.push_back(tensor.name);
        }
        return result;
    };
    using Names = std::vector<std::string>;
    check(canonical({"model.0.bias", "model.1.sub.0.RDB1.conv2.0.bias", "model.1.sub.1.bias", "model.3.bias",
                     "model.5.bias", "model.7.bias"}) == Names{"conv_first.bias", "body.0.rdb1.conv2.bias",
                                                               "conv_body.bias", "conv_up1.bias", "conv_hr.bias",
                                                               "conv_last.bias"},
          "places in a sequence");
    check(canonical(
              {"RRDB_trunk.2.RDB3.conv1.bias", "trunk_conv.bias", "upconv2.bias", "HRconv.bias", "conv_last.bias"}) ==
              Names{"body.2.rdb3.conv1.bias", "conv_body.bias", "conv_up2.bias", "conv_hr.bias", "conv_last.bias"},
          "ESRGAN's release");
    const Names odd = {"model.",      "model.x",      "model.1",         "model.1.sub.", "model.1.sub.99999999999.bias",
                       "RRDB_trunk.", "RRDB_trunk.1", "RRDB_trunk.1.RDB"};
    check_equal(canonical(odd).size(), odd.size(), "names without a known place");

    const auto tiny = [](const Names & names, ModelPart expected) { return tiny_autoencoder_names(names, expected); };
    const Names indices = {"1.weight", "3.conv.0.weight", "20.weight"};
    check(tiny(indices, ModelPart::vae)->names.back() == std::string(tiny_vae_prefix) + "decoder.layers.19.weight",
          "indices of a decoder");
    check(tiny(indices, ModelPart::tiny_autoencoder)->names.front() ==
              std::string(tiny_preview_prefix) + "decoder.layers.0.weight",
          "in addition to the VAE");
    check(!tiny(indices, ModelPart::none) && !tiny({}, ModelPart::vae), "bare indices are not recognised");
    check(!tiny({"99999999999999999999.weight", "1.conv.0.weight"}, ModelPart::vae), "an index beyond all integers");
}

} // namespace

int main() {
    const TemporaryFolder folder;
    test_evaluation(folder);
    test_refusal(folder);
    test_names(folder);
    return finish();
}
