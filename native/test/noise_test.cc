// The noise that a model was trained with, from configurations and from tables of all number types.
#include <cmath>

#include "check.h"
#include "family/noise.h"
#include "family/noise_table.h"
#include "files.h"
#include "ggml.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

void reads_configurations() {
    const JsonValues values = read_json_values(
        R"({"text": "a\"NaN", "whole": 3, "negative": -2, "fraction": 0.5, "yes": true, "nothing": null, "list": [1, -2.5],
            "empty": [], "mixed": [1, "a", 2], "nested": {"whole": 7}, "lists": [[1]], "endless": -Infinity, "nan": [NaN],
            "twice": 1, "twice": [2]})",
        "x.json");
    using List = std::vector<double>;
    const std::pair<const char *, JsonValue> rows[] = {
        {"text", "a\"NaN"},
        {"whole", 3.0},
        {"negative", -2.0},
        {"fraction", 0.5},
        {"yes", true},
        {"list", List{1, -2.5}},
        {"empty", List{}},
        {"mixed", std::monostate()},
        {"nested", std::monostate()},
        {"lists", std::monostate()},
        {"endless", std::monostate()},
        {"nan", std::monostate()},
        {"twice", List{2}},
    };
    for (const auto & row : rows) check(values.at(row.first) == row.second, row.first);
    check_equal(values.size(), std::size(rows), "null is omitted, and nothing is added");
    check(read_json_values("[1, {\"a\": 2}]", "x.json").count("a") == 0,
          "a document that is not an object has no values");
    for (const char * text : {"", "{", "{\"a\": Inf}", "{\"a\": 1} x", "{\"a\": NaNa}", "\"\\"}) {
        check_throws(text, ErrorCode::model_corrupt, "malformed", [&] { read_json_values(text, "x.json"); });
    }
    check_throws("10 MB", ErrorCode::model_unsupported, "more than",
                 [] { read_json_values(std::string(10'000'001, ' '), "x.json"); });
}

// A stored table of the named type; `write` converts its numbers to bytes.
template <typename Write> NoiseSources stored(const char * type, std::string & bytes, Write write) {
    const AlphaTable alphas = stable_diffusion_alphas();
    for (const double alpha : alphas) bytes += write(alpha);
    StoredTensor tensor;
    tensor.name = "alphas_cumprod";
    tensor.type = find_number_type(type);
    tensor.n_dims = 1;
    tensor.ne[0] = static_cast<int64_t>(alphas.size());
    tensor.data = reinterpret_cast<const uint8_t *>(bytes.data());
    tensor.n_bytes = bytes.size();
    NoiseSources sources;
    sources.marks.push_back(tensor);
    return sources;
}

void reads_tables_of_every_type() {
    std::string f64, bf16, f8, i32;
    const Noise exact =
        read_noise(stored("f64", f64, [](double x) { return little_endian_bytes(std::bit_cast<uint64_t>(x)); }), {});
    check(exact.alphas_cumprod.empty() && exact.warnings.empty(), "Stable Diffusion's levels in f64");
    const Noise rounded =
        read_noise(stored("bf16", bf16,
                          [](double x) { return little_endian_bytes(ggml_fp32_to_bf16(static_cast<float>(x)).bits); }),
                   {});
    check(rounded.alphas_cumprod.empty() && rounded.warnings.empty(), "in bf16, although some are equal then");
    const Noise coarse = read_noise(stored("f8_e4m3", f8, [](double) { return std::string(1, '\1'); }), {});
    check(coarse.alphas_cumprod.empty() && coarse.warnings.size() == 1 &&
              coarse.warnings[0].find("too coarse") != std::string::npos,
          "numbers of 8 bits are passed over, with a warning");
    check_throws("integers", ErrorCode::model_unsupported, "found 1000 of the type i32",
                 [&] { read_noise(stored("i32", i32, [](double) { return std::string(4, '\0'); }), {}); });
}

void rescales_to_a_zero_terminal_snr() {
    const AlphaTable standard = stable_diffusion_alphas(), zero = with_zero_terminal_snr(standard);
    check(std::fabs(zero.front() / standard.front() - 1) < 1e-12, "the first level stays");
    check(std::fabs(std::sqrt(1 / zero.back() - 1) - 4518.76) < 0.01, "the last has a sigma of 4518.8");
    check(agree(with_zero_terminal_snr(zero), zero, 1e-2, 1e-5), "rescaling twice changes almost nothing");
    for (const std::string schedule : {"scaled_linear", "linear", "squaredcos_cap_v2"}) {
        const AlphaTable steep =
            with_zero_terminal_snr(cumulative_alphas(betas_of(schedule, 0.0001, 0.02, most_training_steps / 10)));
        check(steep.back() > 0 && steep.back() < steep[steep.size() - 2], "the last level is the least: " + schedule);
    }
}

} // namespace

int main() {
    reads_configurations();
    reads_tables_of_every_type();
    rescales_to_a_zero_terminal_snr();
    return finish();
}
