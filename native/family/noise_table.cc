// See noise_table.h.
#include "family/noise_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <sstream>

#include "error.h"

namespace diffusion {

namespace {

// The last cumulative alpha of a table with zero terminal SNR.
constexpr double terminal_alpha = 4.8973451890853435e-08;

std::vector<double> linear(double start, double end, int64_t steps) {
    std::vector<double> values(steps);
    for (int64_t i = 0; i < steps; i++) values[i] = start + (end - start) * i / (steps - 1);
    return values;
}

std::vector<double> cosine_betas(int64_t steps) {
    constexpr double offset = 0.008, most = 0.999;
    const auto alpha_bar = [](double t) {
        return std::pow(std::cos((t + offset) / (1 + offset) * std::numbers::pi / 2), 2);
    };
    std::vector<double> betas(steps);
    for (int64_t i = 0; i < steps; i++) {
        const double from = static_cast<double>(i) / steps, to = static_cast<double>(i + 1) / steps;
        betas[i] = std::min(1 - alpha_bar(to) / alpha_bar(from), most);
    }
    return betas;
}

} // namespace

std::vector<double> betas_of(const std::string & schedule, double start, double end, int64_t steps) {
    if (schedule == "linear") return linear(start, end, steps);
    if (schedule == "squaredcos_cap_v2") return cosine_betas(steps);
    if (schedule != "scaled_linear") return {};
    std::vector<double> betas = linear(std::sqrt(start), std::sqrt(end), steps);
    for (double & root : betas) root *= root;
    return betas;
}

AlphaTable cumulative_alphas(const std::vector<double> & betas) {
    AlphaTable alphas;
    double product = 1;
    for (const double beta : betas) alphas.push_back(product *= 1 - beta);
    return alphas;
}

AlphaTable stable_diffusion_alphas() {
    return cumulative_alphas(betas_of("scaled_linear", 0.00085, 0.012, 1000));
}

AlphaTable with_zero_terminal_snr(AlphaTable alphas) {
    const double first = std::sqrt(alphas.front()), last = std::sqrt(alphas.back());
    for (double & alpha : alphas) {
        const double root = (std::sqrt(alpha) - last) * first / (first - last);
        alpha = root * root;
    }
    // A table that already ended in almost pure noise may have a smaller value just before the last.
    alphas.back() = std::min(terminal_alpha, alphas[alphas.size() - 2] / 4);
    return alphas;
}

bool agree(const AlphaTable & a, const AlphaTable & b, double relative, double absolute) {
    const auto close = [&](double x, double y) { return std::fabs(x - y) <= relative * y + absolute; };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), close);
}

void check_alphas(const AlphaTable & alphas, const std::string & name) {
    constexpr double least = 1e-10;
    for (size_t i = 0; i < alphas.size(); i++) {
        if (alphas[i] >= least && alphas[i] < (i ? alphas[i - 1] : 1)) continue;
        std::ostringstream text;
        text << "Expected strictly decreasing cumulative alphas, below 1 and at least " << least << ", in " << name
             << ", found " << alphas[i] << " at training step " << i << ".";
        throw Error(ErrorCode::model_unsupported, text.str());
    }
}

} // namespace diffusion
