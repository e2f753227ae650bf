// Prints what stable-diffusion.cpp computes for noise, schedules and samplers as JSON: the golden numbers of
// test/reference/stable_diffusion_cpp.json, made at its commit 97d29908.
//
// With its source in $SRC, built as a static library in $BUILD:
//   g++ -std=c++17 -O1 -DGGML_MAX_NAME=128 $(printf -- "-I$SRC/%s " src include thirdparty ggml/include ggml/src) \
//     test/reference/stable_diffusion_cpp.cpp -Wl,--start-group $(find $BUILD -name '*.a') -Wl,--end-group \
//     -fopenmp -lpthread -ldl -o reference
//   ./reference > test/reference/stable_diffusion_cpp.json
// The argument "all" prints the schedules for every number of steps instead.

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/rng_mt19937.hpp"
#include "core/rng_philox.hpp"
#include "runtime/denoiser.hpp"

namespace {

constexpr int kLength = 8;

/// Wave that stands for recorded noise: draw k of a run holds elements k * kLength and following.
float recorded(int64_t element) {
    return static_cast<float>(1.5 * std::sin(1.0 + 7.0 * static_cast<double>(element)));
}

class RecordedNoise : public RNG {
public:
    int draws = 0;

    void manual_seed(uint64_t) override { draws = 0; }

    std::vector<float> randn(uint32_t n) override {
        std::vector<float> values(n);
        for (uint32_t j = 0; j < n; j++) values[j] = recorded(static_cast<int64_t>(draws) * n + j);
        draws++;
        return values;
    }
};

/// Exact denoiser of data that is a mixture of N(-1, 1/4) and N(1, 1/4).
float mixture_mean(float x, float sigma) {
    const double variance = 0.25;
    const double noise = static_cast<double>(sigma) * sigma;
    return static_cast<float>((variance * x + noise * std::tanh(x / (variance + noise))) / (variance + noise));
}

void print_list(const char* name, const std::vector<float>& values, const char* end) {
    std::printf("\"%s\": [", name);
    for (size_t i = 0; i < values.size(); i++) std::printf(i == 0 ? "%.9g" : ", %.9g", values[i]);
    std::printf("]%s", end);
}

std::shared_ptr<CompVisDenoiser> stable_diffusion_denoiser() {
    auto denoiser = std::make_shared<CompVisDenoiser>();
    float product = 1.0f;
    for (int i = 0; i < TIMESTEPS; i++) {
        const float root = sqrtf(0.00085f) + (sqrtf(0.0120f) - sqrtf(0.00085f)) * ((float)i / (TIMESTEPS - 1));
        product *= 1.0f - root * root;
        denoiser->sigmas[i] = std::sqrt((1 - product) / product);
        denoiser->log_sigmas[i] = std::log(denoiser->sigmas[i]);
    }
    return denoiser;
}

const std::vector<std::pair<const char*, scheduler_t>> kSchedulers = {
    {"discrete", DISCRETE_SCHEDULER},   {"karras", KARRAS_SCHEDULER},     {"exponential", EXPONENTIAL_SCHEDULER},
    {"sgm_uniform", SGM_UNIFORM_SCHEDULER}, {"simple", SIMPLE_SCHEDULER}, {"ays", AYS_SCHEDULER},
    {"gits", GITS_SCHEDULER},           {"kl_optimal", KL_OPTIMAL_SCHEDULER}, {"smoothstep", SMOOTHSTEP_SCHEDULER},
    {"beta", BETA_SCHEDULER},           {"lcm", LCM_SCHEDULER}};

void print_schedules(const std::vector<uint32_t>& counts) {
    auto denoiser = stable_diffusion_denoiser();
    std::printf("\"schedules\": {");
    for (size_t s = 0; s < kSchedulers.size(); s++) {
        std::printf("%s\n  \"%s\": {", s == 0 ? "" : ",", kSchedulers[s].first);
        for (size_t c = 0; c < counts.size(); c++) {
            const auto sigmas = denoiser->get_sigmas(counts[c], 0, kSchedulers[s].second, VERSION_SD1);
            print_list(std::to_string(counts[c]).c_str(), sigmas, c + 1 < counts.size() ? ",\n    " : "}");
        }
    }
    std::printf("\n}");
}

struct Method {
    const char* name;
    sample_method_t method;
    float eta;
};

const std::vector<Method> kMethods = {
    {"euler", EULER_SAMPLE_METHOD, 0}, {"euler_a", EULER_A_SAMPLE_METHOD, 1}, {"euler_a", EULER_A_SAMPLE_METHOD, 0.5f},
    {"heun", HEUN_SAMPLE_METHOD, 0}, {"dpm2", DPM2_SAMPLE_METHOD, 0}, {"dpm++2s_a", DPMPP2S_A_SAMPLE_METHOD, 1},
    {"dpm++2s_a", DPMPP2S_A_SAMPLE_METHOD, 0.5f}, {"dpm++2m", DPMPP2M_SAMPLE_METHOD, 0},
    {"dpm++2mv2", DPMPP2Mv2_SAMPLE_METHOD, 0}, {"dpm++2m_sde", DPMPP2M_SDE_SAMPLE_METHOD, 1},
    {"dpm++2m_sde", DPMPP2M_SDE_SAMPLE_METHOD, 0.5f}, {"dpm++2m_sde", DPMPP2M_SDE_SAMPLE_METHOD, 0},
    {"lms", LMS_SAMPLE_METHOD, 0}, {"ipndm", IPNDM_SAMPLE_METHOD, 0}, {"ipndm_v", IPNDM_V_SAMPLE_METHOD, 0},
    {"ddim_trailing", DDIM_TRAILING_SAMPLE_METHOD, 0}, {"ddim_trailing", DDIM_TRAILING_SAMPLE_METHOD, 1},
    {"lcm", LCM_SAMPLE_METHOD, 0}, {"tcd", TCD_SAMPLE_METHOD, 0}, {"tcd", TCD_SAMPLE_METHOD, 0.3f}};

void print_run(const Method& method, const std::vector<float>& sigmas) {
    std::vector<float> start(kLength);
    for (int j = 0; j < kLength; j++) start[j] = sigmas[0] * recorded(1000 + j);
    sd::Tensor<float> x({kLength}, start);
    std::vector<float> called;
    auto denoise = [&](const sd::Tensor<float>& noisy, float sigma, int) {
        called.push_back(sigma);
        sd::guidance::GuiderOutput output;
        output.pred = noisy;
        for (int j = 0; j < kLength; j++) output.pred[j] = mixture_mean(noisy[j], sigma);
        return output;
    };
    auto noise = std::make_shared<RecordedNoise>();
    auto result = sample_k_diffusion(method.method, denoise, x, sigmas, noise, method.eta, false, "");
    std::printf("{\"sampler\": \"%s\", \"eta\": %g, \"draws\": %d, ", method.name, method.eta, noise->draws);
    print_list("sigmas", sigmas, ",\n   ");
    print_list("called", called, ",\n   ");
    print_list("result", std::vector<float>(result.data(), result.data() + kLength), "}");
}

void print_samplers() {
    const std::vector<std::vector<float>> paths = {
        {14.5f, 7.25f, 3.5f, 1.75f, 0.875f, 0.375f, 0.125f, 0.0f}, {14.5f, 0.0f}, {6.0f, 0.5f, 0.0f}};
    std::printf("\"samplers\": [");
    bool first = true;
    for (const auto& method : kMethods) {
        for (const auto& path : paths) {
            std::printf(first ? "\n  " : ",\n  ");
            first = false;
            print_run(method, path);
        }
    }
    std::printf("\n]");
}

void print_noise() {
    const std::vector<uint64_t> seeds = {0, 42, 4294967295ULL, 81985529216486895ULL};
    std::printf("\"noise\": [");
    for (size_t i = 0; i < seeds.size(); i++) {
        PhiloxRNG cuda(seeds[i]);
        MT19937RNG cpu(seeds[i]);
        std::printf("%s\n  {\"seed\": \"%llu\", ", i == 0 ? "" : ",", static_cast<unsigned long long>(seeds[i]));
        print_list("cudaFirst", cuda.randn(17), ",\n   ");
        print_list("cudaSecond", cuda.randn(6), ",\n   ");
        print_list("cpuFirst", cpu.randn(17), ",\n   ");
        print_list("cpuSecond", cpu.randn(6), "}");
    }
    std::printf("\n]");
}

}  // namespace

int main(int argc, char** argv) {
    std::printf("{");
    if (argc > 1 && std::string(argv[1]) == "all") {
        std::vector<uint32_t> counts;
        for (uint32_t n = 2; n <= 1000; n++) counts.push_back(n);
        print_schedules(counts);
    } else {
        print_noise();
        std::printf(",\n");
        print_schedules({2, 3, 6, 7, 10, 20, 21, 30});
        std::printf(",\n");
        print_samplers();
    }
    std::printf("}\n");
}
