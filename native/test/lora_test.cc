// LoRAs: names of adapters' tensors, PEFT's configurations, and weights with deltas on devices that keep a copy of
// them.
#include <array>
#include <cmath>
#include <cstring>
#include <tuple>

#include "check.h"
#include "files.h"
#include "lora/adapter.h"
#include "lora/peft_config.h"
#include "names/lora_keys.h"
#include "names/name_pattern.h"
#include "weights/placed_weights.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

void test_keys() {
    struct Row {
        const char * name;
        const char * layer;
        LoraPart part;
    };
    const Row rows[] = {
        {"lora_unet_mid_block_attentions_0_proj_in.lora_up.weight", "lora_unet_mid_block_attentions_0_proj_in",
         LoraPart::up},
        {"lora_te_x.alpha", "lora_te_x", LoraPart::alpha},
        {"base_model.model.a.to_q.lora_A.default.weight", "a.to_q", LoraPart::down},
        {"unet.a.attn1.processor.to_out_lora.up.weight", "unet.a.attn1.to_out.0", LoraPart::up},
        {"unet.a.attn1.processor.to_k_lora.down.weight", "unet.a.attn1.to_k", LoraPart::down},
        {"text_encoder.a.q_proj.lora_linear_layer.down.weight", "text_encoder.a.q_proj", LoraPart::down},
        {"a.lokr_w2_b", "a", LoraPart::lokr_w2_b},
        {"a.lora_B.mine.bias", "a", LoraPart::up_bias},
        {"a.hada_w1_a.default", "a", LoraPart::hada_w1_a},
        {"a.lora_embedding_A", "a", LoraPart::embedding_a},
        {"a.w_norm", "a", LoraPart::diff},
        {"a.diff_b", "a", LoraPart::bias_diff},
        {"a.b_norm", "a", LoraPart::bias_diff},
    };
    for (const Row & row : rows) {
        const auto key = split_lora_key(row.name);
        check(key && key->layer == row.layer && key->part == row.part, row.name);
    }
    for (const char * name : {"", ".alpha", "a.weight", "a.lora_A.x.y.weight", "lora_up.weight", "a.lora_A..weight"}) {
        check(!split_lora_key(name), std::string("not an adapter's tensor: ") + name);
    }
    check(refused_adapter("a.dora_scale", 2) == "DoRA" &&
              refused_adapter("a.lora_magnitude_vector.x.weight", 1) == "DoRA" &&
              refused_adapter("a.b1.weight", 2) == "GLoRA" && refused_adapter("a.oft_blocks", 3) == "OFT" &&
              refused_adapter("a.oft_blocks", 4) == "BOFT" && refused_adapter("a.on_input", 0) == "(IA)^3" &&
              refused_adapter("a.lora_up.weight", 2).empty(),
          "kinds that are not applied");
    check(other_tensor_kind("a.text_projection.weight") == "text_projection" && other_tensor_kind("x") == "x",
          "what other tensors are called");
}

void test_configs() {
    const auto of = [](const std::string & json, const std::string & layer) {
        std::string_view local;
        const PeftConfigs configs = PeftConfigs::parse(json, "file");
        const PeftConfig & config = configs.of(layer, local);
        return std::tuple(config.alpha_of(local), config.rank_of(local), config.rank_stabilized);
    };
    const std::string metadata =
        R"({"unet.lora_alpha":16,"unet.r":4,"unet.rank_pattern":{"a":8},"unet.use_rslora":true,
            "unet.alpha_pattern":{"x.*to_q":2.5,"b":3},"text_encoder.lora_alpha":2,"x":[1,{"y":null}]})";
    check(of(metadata, "unet.c") == std::tuple(16.0, 4.0, true), "metadata of the UNet");
    check(of(metadata, "unet.x.1.to_q") == std::tuple(2.5, 4.0, true), "a pattern for alpha");
    check(of(metadata, "unet.z.a") == std::tuple(16.0, 8.0, true), "a pattern for the rank");
    check(of(metadata, "text_encoder.b") == std::tuple(2.0, 0.0, false), "metadata of the text encoder");
    check(of("{}", "unet.a") == std::tuple(0.0, 0.0, false), "no metadata");
    const std::string config =
        R"({"peft_type":"LOHA","alpha":1.5,"r":4,"use_dora":false,"init_lora_weights":"gaussian"})";
    check(of(config, "unet.a") == std::tuple(1.5, 4.0, false), "a configuration of one component");
    for (const auto & [what, json, words] : std::initializer_list<std::array<const char *, 3>>{
             {"another kind", R"({"peft_type":"IA3"})", "PEFT type 'IA3'"},
             {"DoRA", R"({"unet.use_dora":true})", "is a DoRA"},
             {"a changed base", R"({"init_lora_weights":"pissa_niter_4"})", "'pissa_niter_4'"},
             {"an invalid pattern", R"({"alpha_pattern":{"a(":1}})", "the pattern 'a('"},
             {"an alpha that is a text", R"({"lora_alpha":"16"})", "'lora_alpha'"},
             {"an alpha of 0", R"({"lora_alpha":0})", "'lora_alpha'"},
             {"a list of alphas", R"({"alpha_pattern":[1]})", "'alpha_pattern'"},
             {"alphas in an alpha", R"({"lora_alpha":{"a":1}})", "a number above 0 for 'lora_alpha'"},
             {"an alpha in a list", R"({"lora_alpha":[8]})", "a number above 0 for 'lora_alpha'"},
             {"a rank that is true", R"({"r":true})", "a number above 0 for 'r'"},
             {"a pattern that is a number", R"({"alpha_pattern":5})", "an object for 'alpha_pattern'"},
             {"a pattern for no number", R"({"alpha_pattern":{"a":null}})", "a number above 0 for 'alpha_pattern'"},
             {"DoRA as a text", R"({"use_dora":"true"})", "true or false for 'use_dora'"},
             {"a root that is a number", R"({"use_rslora":1})", "true or false for 'use_rslora'"},
             {"a kind that is a number", R"({"peft_type":5})", "a string for 'peft_type'"},
             {"no object", "[]", "an object for a PEFT configuration, found an array"},
             {"nothing", "null", "an object for a PEFT configuration, found null"},
         }) {
        const std::string text = json;
        check_throws(what, ErrorCode::model_unsupported, words, [&] { PeftConfigs::parse(text, "file"); });
    }
    check_throws("no JSON", ErrorCode::model_corrupt, "malformed", [] { PeftConfigs::parse("{", "file"); });
    check(!PeftConfigs::parse(R"({"r":4,"lora_alpha":null})", "file").has_alpha() &&
              PeftConfigs::parse(R"({"alpha_pattern":{"a":1}})", "file").has_alpha(),
          "whether a configuration has an alpha");
    check(peft_config_path("a/adapter_model.bin") == "a/adapter_config.json" && peft_config_path("a/b.bin").empty(),
          "which files have a configuration next to them");
}

void test_patterns() {
    struct Row {
        const char *pattern, *name;
        bool matches;
    };
    const Row rows[] = {
        {"to_q", "a.b.to_q", true},
        {"to_q", "a.b.into_q", false},
        {"to_q", "to_q.b", false},
        {"a.to_q", "x.a.to_q", true},
        {"a.*to_[qk]", "b.a.1.2.to_k", true},
        {"a.*to_[^qk]", "b.a.1.2.to_k", false},
        {"(up|down)_blocks\\.\\d+\\.x?", "down_blocks.12.", true},
        {"(?:up|down)_blocks\\.\\d+\\.x?", "down_blocks.1a.x", false},
        {"^a", "b.a", false},
        {"^a$", "a", true},
        {"a|b.c", "b.c", true},
        {"", "a.", true},
        {"x+y*", "a.xxx", true},
        {"[a-c_]+", "x.a_b", true},
        {"[]]", "x.]", true},
    };
    for (const Row & row : rows) {
        const auto pattern = NamePattern::parse(row.pattern);
        check(pattern && pattern->matches(row.name) == row.matches, std::string(row.pattern) + " in " + row.name);
    }
    for (const char * text : {"(", ")", "a)", "[a", "*", "a**b)", "a{2}", "\\b", "(?=a)", "\\"}) {
        check(!NamePattern::parse(text), std::string("not a pattern: ") + text);
    }
    check(!NamePattern::parse(std::string(1001, 'a')), "a long pattern");
    std::string nested;
    for (int i = 0; i < 300; i++) nested = "(" + nested + ")*";
    check(!NamePattern::parse(nested), "groups in groups");
    const auto slow = NamePattern::parse("((a*)*)*b");
    check(slow && !slow->matches(std::string(5000, 'a')), "in time, whatever the pattern");
}

Matrix matrix(int64_t rows, int64_t columns, float seed) {
    Matrix m{rows, columns, {}};
    for (int64_t i = 0; i < rows * columns; i++) m.values.push_back(std::sin(seed + static_cast<float>(i) * 1.7f));
    return m;
}

// Compares every element with the definition of the form.
void test_forms() {
    const Matrix a = matrix(5, 3, 1), b = matrix(3, 4, 2), core = matrix(3, 3 * 9, 3), up = matrix(5, 3, 4),
                 c = matrix(2, 3, 5), d = matrix(4, 6, 6);
    const auto row_of = [](const RowDelta & delta, int64_t row, int64_t n) {
        std::vector<float> values(n, 1.0f), scratch(delta.scratch(), 5.0f); // deltas are added to these
        delta.add(add_product, row, 1, values.data(), scratch.data());
        return values;
    };
    const auto near = [](float x, float y) { return std::abs(x - y) < 1e-5f; };
    const auto product = [](const Matrix & x, const Matrix & y, int64_t i, int64_t j) {
        float sum = 0;
        for (int64_t m = 0; m < y.rows; m++) sum += x.row(i)[m] * y.row(m)[j];
        return sum;
    };
    for (int64_t i = 0; i < 5; i++) {
        const auto lora = row_of(*lora_delta({a, b, {}}, 0.5f), i, 4);
        const auto hadamard = row_of(*hadamard_delta({a, b, {}}, {up, b, {}}, 2.0f), i, 4);
        const auto tucker = row_of(*lora_delta({a, b, core, 9}, 1.0f), i, 36);
        for (int64_t j = 0; j < 4; j++) {
            check(near(lora[j], 1 + 0.5f * product(a, b, i, j)), "LoRA");
            check(near(hadamard[j], 1 + 2 * product(a, b, i, j) * product(up, b, i, j)), "LoHa");
            for (int64_t tap = 0; tap < 9; tap++) {
                float sum = 1;
                for (int64_t n = 0; n < 3; n++) {
                    for (int64_t m = 0; m < 3; m++) sum += a.row(i)[n] * core.row(n)[m * 9 + tap] * b.row(m)[j];
                }
                check(near(tucker[j * 9 + tap], sum), "LoCon with a core");
            }
        }
    }
    for (int64_t i = 0; i < 8; i++) {
        const auto kronecker = row_of(*kronecker_delta(c, d, 1.0f), i, 18);
        for (int64_t j = 0; j < 18; j++) {
            check(near(kronecker[j], 1 + c.row(i / 4)[j / 6] * d.row(i % 4)[j % 6]), "LoKr");
        }
    }
    check(LowRank{a, b, core, 9}.sound() && !LowRank{b, a, {}}.sound(), "ranks that fit");
}

std::string float_bytes(const std::vector<float> & values) {
    return {reinterpret_cast<const char *>(values.data()), values.size() * sizeof(float)};
}

// A matrix in f32 and in f16, in a safetensors file that is too large to be copied.
std::string two_matrices(const TemporaryFolder & folder, const std::vector<float> & values, int64_t in) {
    std::vector<ggml_fp16_t> halves(values.size());
    ggml_fp32_to_fp16_row(values.data(), halves.data(), static_cast<int64_t>(values.size()));
    const std::string shape = std::to_string(values.size() / in) + "," + std::to_string(in);
    const size_t n = values.size(), rest = size_t{256} << 20;
    const auto offsets = [](size_t a, size_t b) { return "[" + std::to_string(a) + "," + std::to_string(b) + "]"; };
    std::string header = R"({"single.weight":{"dtype":"F32","shape":[)" + shape + R"(],"data_offsets":)" +
                         offsets(0, 4 * n) + R"(},"half.weight":{"dtype":"F16","shape":[)" + shape +
                         R"(],"data_offsets":)" + offsets(4 * n, 6 * n) + R"(},"rest":{"dtype":"U8","shape":[)" +
                         std::to_string(rest) + R"(],"data_offsets":)" + offsets(6 * n, 6 * n + rest) + "}}";
    header.append((8 - header.size() % 8) % 8, ' ');
    const std::string bytes = little_endian_bytes<uint64_t>(header.size()) + header + float_bytes(values) +
                              std::string(reinterpret_cast<const char *>(halves.data()), 2 * n);
    const std::string path = folder.write("two.safetensors", bytes);
    std::filesystem::resize_file(path, bytes.size() + rest);
    return path;
}

std::vector<float> read_back(Tensor tensor) {
    std::vector<uint8_t> bytes(ggml_nbytes(tensor));
    ggml_backend_tensor_get(tensor, bytes.data(), 0, bytes.size());
    std::vector<float> values(ggml_nelements(tensor));
    number_type(tensor->type).widen(bytes.data(), values.data(), ggml_nelements(tensor));
    return values;
}

bool close(const std::vector<float> & x, const std::vector<float> & y) {
    for (size_t i = 0; i < x.size(); i++) {
        if (std::abs(x[i] - y[i]) > 2e-3f) return false;
    }
    return x.size() == y.size();
}

// A device without this package's kernels: here the CPU with ggml's operations and tensors in the mapped file.
void test_device_tensors() {
    const TemporaryFolder folder;
    const Cancellation never;
    const std::vector<float> base = matrix(6, 32, 9).values;
    const TensorTable table = TensorTable::open(two_matrices(folder, base, 32), never);
    WeightBinder binder(table);
    const Tensor single = binder.weight("single.weight", {32, 6}), half = binder.weight("half.weight", {32, 6});
    const std::unique_ptr<ggml_backend, decltype(&ggml_backend_free)> backend(
        ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr), ggml_backend_free);
    PlacedWeights weights(table, binder.bindings(), {backend.get()}, Placement::mapped, {}, never);
    check(weights.in_file(single) && weights.in_file(half), "weights stay in the file");

    const LowRank p{matrix(6, 2, 3), matrix(2, 32, 4), {}};
    const std::shared_ptr<const RowDelta> delta = lora_delta(p, 1);
    std::vector<float> merged = base;
    delta->add(add_product, 0, 6, merged.data(), nullptr);

    PlacedWeights::Deltas deltas;
    for (const auto & binding : binder.bindings()) deltas[&binding] = delta;
    weights.apply(weights.change_to(deltas));
    const Cancellation raised;
    raised.cancel();
    check_throws("cancelled", ErrorCode::cancelled, "", [&] { weights.update(raised); });
    weights.update(never);
    check(close(read_back(single), merged) && close(read_back(half), merged), "the delta is in the tensors");
    check(std::memcmp(table.find("single.weight")->data, base.data(), base.size() * 4) == 0, "the file is untouched");
    weights.update(never);
    check(close(read_back(single), merged), "and not twice");

    weights.change_to({});
    weights.update(never);
    check(close(read_back(single), merged), "a change has no effect until it is applied");
    weights.apply(weights.change_to({}));
    weights.update(never);
    check(single->data == table.find("single.weight")->data, "without a delta the tensor is back in the file");
    check(close(read_back(half), base), "with the file's numbers");
}

} // namespace

int main() {
    test_keys();
    test_configs();
    test_patterns();
    test_forms();
    test_device_tensors();
    return finish();
}
