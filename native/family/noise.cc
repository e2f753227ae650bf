// See noise.h.
#include "family/noise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>
#include <utility>

#include "family/noise_table.h"
#include "io/file_error.h"
#include "io/read_numbers.h"

namespace diffusion {

namespace {

[[noreturn]] void refuse(const std::string & message) {
    throw Error(ErrorCode::model_unsupported, message);
}

[[noreturn]] void refuse_kind(const std::string & kind) {
    refuse("Expected a model trained on the noise levels of Stable Diffusion, found one of " + kind +
           ", which is not supported.");
}

const StoredTensor * find(const NoiseSources & sources, std::string_view name) {
    const auto found = std::ranges::find(sources.marks, name, &StoredTensor::name);
    return found == sources.marks.end() ? nullptr : &*found;
}

std::string prediction_name(const std::string & type) {
    return type == "v_prediction" || type == "v-prediction" ? "v" : type == "eps" ? "epsilon" : type;
}

std::string describe(const JsonValue & value) {
    if (const auto * text = std::get_if<std::string>(&value)) return quote(*text);
    if (const auto * number = std::get_if<double>(&value)) {
        std::ostringstream shortest;
        shortest << *number;
        return shortest.str();
    }
    if (const auto * flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
    const auto * list = std::get_if<std::vector<double>>(&value);
    return list ? "a list of " + std::to_string(list->size()) + " numbers" : "something else";
}

// Reads one value of the scheduler's configuration.
class Scheduler {
public:
    explicit Scheduler(const JsonValues & values) : values_(values) {}

    bool has(const std::string & name) const { return values_.contains(name); }

    std::string text(const std::string & name) const { return get<std::string>(name, "a string").value_or(""); }
    bool flag(const std::string & name) const { return get<bool>(name, "true or false").value_or(false); }
    // Any value other than true, even of the wrong type, counts as false.
    bool is_true(const std::string & name) const { return has(name) && values_.at(name) == JsonValue(true); }
    std::vector<double> list(const std::string & name) const {
        return get<std::vector<double>>(name, "a list of numbers").value_or(std::vector<double>());
    }
    // A number above 0, and from `least` to 1.
    double beta(const std::string & name, double fallback, double least) const {
        const char * expected = "a number above 0 and at most 1, with beta_end no smaller than beta_start,";
        const double value = get<double>(name, expected).value_or(fallback);
        if (value > 0 && value >= least && value <= 1) return value;
        refuse_value(name, expected);
    }
    int64_t steps() const {
        const char * name = "num_train_timesteps";
        const double value = get<double>(name, "an integer").value_or(1000);
        if (value >= least_training_steps && value <= most_training_steps && std::trunc(value) == value) {
            return static_cast<int64_t>(value);
        }
        refuse_value(name, "an integer from " + std::to_string(least_training_steps) + " to " +
                               std::to_string(most_training_steps));
    }

    [[noreturn]] void refuse_value(const std::string & name, const std::string & expected) const {
        const auto found = values_.find(name);
        refuse("Expected " + expected + " for " + name + " in scheduler_config.json, found " +
               (found == values_.end() ? "none" : describe(found->second)) + ".");
    }

private:
    template <typename T> std::optional<T> get(const std::string & name, const char * expected) const {
        const auto entry = values_.find(name);
        if (entry == values_.end()) return std::nullopt;
        if (const T * value = std::get_if<T>(&entry->second)) return *value;
        refuse_value(name, expected);
    }

    const JsonValues & values_;
};

// Refuses noise other than that of diffusion in discrete steps, recognised by tensors or diffusers' scheduler classes.
void refuse_other_kinds(const NoiseSources & sources, const Scheduler & scheduler) {
    constexpr std::array<std::pair<std::string_view, const char *>, 8> classes = {{
        {"FlowMatch", "flow matching"},
        {"FlowMap", "flow matching"},
        {"EDM", "EDM (Karras et al. 2022), on continuous levels"},
        {"CosineDPMSolver", "EDM (Karras et al. 2022), on continuous levels"},
        {"KarrasVe", "a stochastic differential equation, on continuous levels"},
        {"ScoreSde", "a stochastic differential equation, on continuous levels"},
        {"CMStochastic", "a consistency model, on continuous levels"},
        {"VQDiffusion", "discrete codes instead of noise"},
    }};
    if (find(sources, "edm_mean") || find(sources, "edm_std")) {
        refuse_kind("EDM as Playground v2.5 (tensors 'edm_mean' and 'edm_std'), on continuous levels and latents of "
                    "its own scale");
    }
    const auto is_cosxl = [](const StoredTensor & mark) { return mark.name.starts_with("edm_vpred."); };
    if (std::ranges::any_of(sources.marks, is_cosxl)) {
        refuse_kind("EDM with v-prediction as CosXL (tensors 'edm_vpred.sigma_max' and 'edm_vpred.sigma_min'), on "
                    "continuous levels");
    }
    const std::string name = scheduler.text("_class_name");
    for (const auto & entry : classes) {
        if (name.starts_with(entry.first)) refuse_kind(entry.second + std::string(" (") + quote(name) + ")");
    }
    if (scheduler.flag("use_flow_sigmas") || scheduler.text("prediction_type") == "flow_prediction") {
        refuse_kind("flow matching");
    }
    if (scheduler.text("timestep_type") == "continuous") {
        refuse_kind("EDM, on continuous levels ('timestep_type' of its scheduler)");
    }
}

std::string read_prediction(const NoiseSources & sources, const Scheduler & scheduler, const NoiseGiven & given) {
    if (!given.prediction.empty()) return given.prediction;
    if (scheduler.has("prediction_type")) return prediction_name(scheduler.text("prediction_type"));
    // At zero terminal SNR only a v prediction determines the image.
    if (find(sources, "v_pred") || find(sources, "ztsnr")) return "v";
    return prediction_name(sources.prediction);
}

// Betas of the scheduler's configuration, with diffusers' defaults; empty if it has no settings for them.
std::vector<double> configured_betas(const Scheduler & scheduler, std::string & schedule) {
    if (scheduler.has("trained_betas")) {
        schedule = "trained_betas";
        const std::vector<double> betas = scheduler.list("trained_betas");
        const auto n = static_cast<int64_t>(betas.size());
        const auto is_beta = [](double beta) { return beta > 0 && beta <= 1; };
        if (n < least_training_steps || n > most_training_steps || !std::ranges::all_of(betas, is_beta) ||
            (scheduler.has("num_train_timesteps") && n != scheduler.steps())) {
            scheduler.refuse_value(schedule, "one number above 0 and at most 1 for each training step");
        }
        return betas;
    }
    if (!scheduler.has("beta_schedule") && !scheduler.has("beta_start") && !scheduler.has("beta_end")) return {};
    schedule = scheduler.has("beta_schedule") ? scheduler.text("beta_schedule") : "linear";
    const double start = scheduler.beta("beta_start", 0.0001, 0);
    const double end = scheduler.beta("beta_end", 0.02, start);
    std::vector<double> betas = betas_of(schedule, start, end, scheduler.steps());
    if (betas.empty()) {
        scheduler.refuse_value("beta_schedule", "scaled_linear, linear or squaredcos_cap_v2");
    }
    return betas;
}

std::vector<double> stored_numbers(const StoredTensor & tensor) {
    const int64_t n = tensor.n_elements();
    if (!has_numbers(tensor) || n < least_training_steps || n > most_training_steps) {
        refuse("Expected " + std::to_string(least_training_steps) + " to " + std::to_string(most_training_steps) +
               " floating-point numbers in " + quote(tensor.name) + ", one for each training step, found " +
               std::to_string(n) + " of the type " + std::string(tensor.type->name) + ".");
    }
    const std::vector<float> numbers = read_all_numbers(tensor);
    return {numbers.begin(), numbers.end()};
}

// Floating-point numbers of 8 bits or fewer are too coarse for a table. Converters may store every tensor so.
bool is_coarse(const NumberType & type) {
    return type.kind == NumberKind::floating && (type.block > 1 || type.block_bytes == 1);
}

// The table stored in a file, as cumulative alphas; empty if there is none.
AlphaTable stored_table(const NoiseSources & sources, Noise & noise) {
    const StoredTensor * tensor = find(sources, stored_alphas);
    const bool is_sigmas = !tensor;
    if (is_sigmas) tensor = find(sources, stored_sigmas);
    if (!tensor) return {};
    if (is_coarse(*tensor->type)) {
        noise.warnings.push_back("The noise levels in " + quote(tensor->name) + " are stored as " +
                                 std::string(tensor->type->name) +
                                 ", which is too coarse; those of Stable Diffusion are used instead");
        return {};
    }
    AlphaTable alphas = stored_numbers(*tensor);
    if (is_sigmas) {
        for (double & value : alphas) value = 1 / (1 + value * value);
        if (alphas.front() < alphas.back()) std::ranges::reverse(alphas);
    }
    noise.schedule = tensor->name;
    return alphas;
}

// The table before rescaling: from the configuration, from a stored table, or Stable Diffusion's. Sets noise.schedule.
AlphaTable base_table(const NoiseSources & sources, const Scheduler & scheduler, Noise & noise) {
    // Rounding errors: relative, of bf16; the smallest f16; and relative, of double-precision arithmetic.
    constexpr double stored_rounding = 1.0 / 256, smallest = 1.0 / (1 << 24), computed_rounding = 1e-9;
    const AlphaTable standard = stable_diffusion_alphas();
    AlphaTable table = cumulative_alphas(configured_betas(scheduler, noise.schedule));
    const bool is_stored = table.empty();
    if (is_stored) table = stored_table(sources, noise);
    const auto is = [&](const AlphaTable & known) {
        return is_stored ? agree(table, known, stored_rounding, smallest) : agree(table, known, computed_rounding, 0);
    };
    if (is_stored && is(with_zero_terminal_snr(standard))) {
        noise.zero_terminal_snr = true;
    } else if (!table.empty() && !is(standard)) {
        return table;
    }
    noise.schedule = "scaled_linear";
    return standard;
}

void read_levels(const NoiseSources & sources, const Scheduler & scheduler, const NoiseGiven & given, Noise & noise) {
    AlphaTable table = base_table(sources, scheduler, noise);
    noise.steps = static_cast<int64_t>(table.size());
    const bool is_standard = noise.schedule == "scaled_linear" && agree(table, stable_diffusion_alphas(), 0, 0);
    const bool says_so = noise.zero_terminal_snr || scheduler.flag("rescale_betas_zero_snr") || find(sources, "ztsnr");
    const bool ends_in_noise = table.back() == 0;
    noise.zero_terminal_snr = ends_in_noise || given.zero_terminal_snr.value_or(says_so);
    if (is_standard && !noise.zero_terminal_snr) return;
    check_alphas(AlphaTable(table.begin(), table.end() - (ends_in_noise ? 1 : 0)), noise.schedule);
    noise.alphas_cumprod = noise.zero_terminal_snr ? with_zero_terminal_snr(std::move(table)) : std::move(table);
}

// The scheduler's timestep spacing. Warns about settings that would change images and are ignored.
void read_sampling(const Scheduler & scheduler, Noise & noise) {
    for (const std::string spacing : {"karras", "exponential", "beta"}) {
        if (noise.spacing.empty() && scheduler.is_true("use_" + spacing + "_sigmas")) noise.spacing = spacing;
    }
    const std::string spacing = scheduler.text("timestep_spacing");
    constexpr std::string_view known[] = {"", "leading", "trailing", "linspace"};
    const bool is_known = std::ranges::find(known, spacing) != std::end(known);
    std::string ignored;
    // With a sigma curve (karras, ...) this only moves the ends of the curve.
    if (!is_known || (!noise.spacing.empty() && spacing == "trailing")) {
        ignored += " 'timestep_spacing' " + quote(spacing);
    }
    if (noise.spacing.empty() && is_known) noise.spacing = spacing;
    if (scheduler.text("final_sigmas_type") == "sigma_min") ignored += " 'final_sigmas_type' 'sigma_min'";
    for (const std::string name : {"thresholding", "clip_sample"}) {
        if (scheduler.is_true(name)) ignored += " '" + name + "'";
    }
    if (!ignored.empty()) {
        noise.warnings.push_back("Unsupported settings of scheduler_config.json are ignored:" + ignored);
    }
}

} // namespace

Noise read_noise(const NoiseSources & sources, const NoiseGiven & given) {
    Noise noise;
    const Scheduler scheduler(sources.scheduler);
    refuse_other_kinds(sources, scheduler);
    noise.prediction = read_prediction(sources, scheduler, given);
    read_levels(sources, scheduler, given, noise);
    read_sampling(scheduler, noise);
    return noise;
}

Noise read_flow_noise(const NoiseSources & sources, const NoiseGiven & given) {
    for (const auto & [name, is_given] : {std::pair{"prediction", !given.prediction.empty()},
                                          std::pair{"zeroTerminalSnr", given.zero_terminal_snr.has_value()}}) {
        if (!is_given) continue;
        throw Error(ErrorCode::invalid_argument,
                    std::string(name) + ": expected none, since this model was trained with flow matching. Its noise "
                                        "levels have a shift instead (option `flowShift`).");
    }
    Noise noise;
    noise.prediction = noise.schedule = "flow";
    noise.shift = given.shift;
    if (noise.shift) return noise;
    const auto found = sources.scheduler.find("shift");
    if (found == sources.scheduler.end()) return noise;
    const double * shift = std::get_if<double>(&found->second);
    if (shift && std::isfinite(*shift) && *shift > 0) {
        noise.shift = *shift;
    } else {
        noise.warnings.emplace_back("The 'shift' in scheduler_config.json is no number above 0 and is ignored");
    }
    return noise;
}

} // namespace diffusion
