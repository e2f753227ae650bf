// See engine.h.
#include "runtime/engine.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>

#include "backend/memory.h"
#include "family/networks.h"
#include "graph/device.h"
#include "io/file_stamp.h"
#include "lora/peft_config.h"
#include "runtime/control_nets.h"

namespace diffusion {

namespace {

// Keeps what a VAE of SD 1 and 2 makes near unit variance (Rombach et al. 2022, appendix D.1).
constexpr double sd_scaling_factor = 0.18215;
constexpr double xl_scaling_factor = 0.13025; // (Podell et al. 2023)

[[noreturn]] void invalid(const std::string & message) {
    throw Error(ErrorCode::invalid_argument, message);
}

void check_rows(const char * name, const std::vector<float> & values, int64_t rows, int64_t size) {
    if (static_cast<int64_t>(values.size()) == rows * size) return;
    invalid(std::string(name) + ": expected " + std::to_string(rows) + " rows of " + std::to_string(size) +
            " numbers.");
}

void check_control(const Control & control, size_t open, const Shape4 & latent, int64_t scale) {
    if (control.net < 0 || control.net >= static_cast<int64_t>(open)) {
        invalid("controls: expected the index of one of " + std::to_string(open) + " ControlNets.");
    }
    check_image("hint", control.hint.size(), control.shape, 3);
    const int64_t height = latent[2] * scale, width = latent[3] * scale;
    if (control.shape != Shape4{1, 3, height, width}) {
        invalid("hint: expected the shape [1, 3, " + std::to_string(height) + ", " + std::to_string(width) + "].");
    }
    if (!std::isfinite(control.strength)) invalid("strength: expected a finite number.");
}

// Where in all tokens each chunk has its first end token, which has the highest number in CLIP's vocabulary. Words of the model's own
// have those behind.
std::vector<int32_t> first_ends(const std::vector<int32_t> & tokens, int64_t positions) {
    constexpr int32_t clip_vocabulary = 49408;
    const auto rank = [](int32_t id) { return id < clip_vocabulary ? id : -1; };
    std::vector<int32_t> ends;
    for (auto chunk = tokens.begin(); chunk != tokens.end(); chunk += positions) {
        const auto end = std::ranges::max_element(chunk, chunk + positions, {}, rank);
        ends.push_back(static_cast<int32_t>(end - tokens.begin()));
    }
    return ends;
}

// How many vectors there are.
int64_t check_vectors(const std::vector<float> & vectors, int64_t width) {
    constexpr int64_t most = 1 << 16;
    const auto n = static_cast<int64_t>(vectors.size());
    if (n % width != 0 || n / width > most) {
        invalid("vectors: expected at most " + std::to_string(most) + " of " + std::to_string(width) + " numbers.");
    }
    return n / width;
}

// Tokens with others in place of those that stand for a vector, and the row that each has among those of all tokens and the
// vectors behind them.
struct TextRows {
    std::vector<int32_t> tokens, places;
};

TextRows text_rows(const std::vector<int32_t> & tokens, int64_t vocabulary, int64_t n_vectors) {
    TextRows rows{tokens, std::vector<int32_t>(tokens.size())};
    for (size_t i = 0; i < tokens.size(); i++) {
        const int32_t id = tokens[i];
        if (id < 0 || id >= vocabulary + n_vectors) {
            invalid("tokens: " + std::to_string(id) + " is neither in the vocabulary nor one of the vectors.");
        }
        const bool stands = id >= vocabulary;
        rows.places[i] = static_cast<int32_t>(stands ? tokens.size() + id - vocabulary : i);
        if (stands) rows.tokens[i] = 0;
    }
    return rows;
}

ModelInfo describe(const Networks & n) {
    ModelInfo info;
    info.family = n.family;
    info.noise = *n.noise;
    info.components = n.components;
    const VaeSizes vae = n.vae->sizes();
    info.latent_channels = vae.latent_channels;
    info.vae_scale_factor = vae.scale_factor;
    info.scaling_factor = vae.tiny ? 1 : n.family.starts_with("sdxl") ? xl_scaling_factor : sd_scaling_factor;
    info.tiny_autoencoder = vae.tiny || n.tiny;
    info.in_channels = n.unet->config().in_channels;
    info.vector_size = n.unet->config().vector_size;
    info.guidance_size = n.unet->config().guidance_size;
    info.middle_attention = n.unet->config().middle_transformers > 0;
    for (const ClipText * text : text_encoders(n)) {
        const ClipTextConfig & c = text->config();
        info.text_encoders.push_back({c.open_clip ? "openclip" : "clip", c.positions, c.vocabulary, c.layers, c.width,
                                      c.projection, c.clip_skip});
    }
    info.metadata = n.tensors.table.files().front().metadata;
    return info;
}

// What tells graphs of tileable images from others.
std::string variant_of(Tileable tileable) {
    return std::string(tileable.x ? "x" : "") + (tileable.y ? "y" : "") + ' ';
}

// Latents as the moments of a distribution without spread.
std::vector<float> without_variance(const std::vector<float> & latents, int64_t batch) {
    constexpr float log_variance = -30; // as LDM cuts it off
    const auto length = static_cast<int64_t>(latents.size()) / batch;
    std::vector<float> moments(2 * latents.size(), log_variance);
    for (int64_t i = 0; i < batch; i++) {
        std::copy_n(latents.begin() + i * length, length, moments.begin() + 2 * i * length);
    }
    return moments;
}

} // namespace

struct Engine::Impl {
    Impl(const Source & source, const NoiseGiven & given, const EngineOptions & options,
         const Cancellation & cancellation)
        : on_log(options.on_log) {
        const LogScope scope(on_log);
        networks = bind_networks(source, given, cancellation);
        require_runnable(*networks);
        for (const std::string & warning : networks->noise->warnings) log_warning(warning);
        evaluator.emplace(*networks->weights, options, cancellation);
        control_nets.emplace(*networks, evaluator->device(), evaluator->runner(), options.placement);
        if (CpuContext * cpu = evaluator->device().cpu()) {
            cpu->weights.on_packed = [this, own = cpu->weights.on_packed](Tensor tensor) {
                if (const auto * stored = control_nets->in_file(tensor)) release_mapped(stored->data, stored->n_bytes);
                own(tensor);
            };
        }
        info = describe(*networks);
        info.compute = evaluator->info();
    }

    std::vector<float> run(const char * network, const std::string & variant, const std::vector<GraphInput> & inputs,
                           const Evaluator::Build & build, const Cancellation & cancellation) {
        control_nets->check_unchanged();
        std::vector<float> result = evaluator->run(network, variant, inputs, build, cancellation);
        control_nets->check_unchanged();
        return result;
    }

    // What tells whether a set is the one in force: the files as they are, and their weights.
    using LoraSet = std::vector<std::tuple<std::string, double, double, FileStamp>>;

    static LoraSet lora_set(const std::vector<LoraFile> & files) {
        LoraSet set;
        for (const auto & [path, weight, text_weight] : files) {
            set.emplace_back(path, weight, text_weight, stamp_of(path));
            const std::string config = peft_config_path(path);
            if (!config.empty()) set.emplace_back(config, 0, 0, stamp_of(config));
        }
        return set;
    }

    std::vector<LoraReport> set_loras(const std::vector<LoraFile> & files, bool all,
                                      const Cancellation & cancellation) {
        LoraSet wanted = lora_set(files);
        const bool same = wanted == in_force;
        Loras next;
        if (!same) next = read_loras(files, *networks->weights, evaluator->device().backends().back(), cancellation);
        std::vector<LoraReport> reports = same ? lora_reports : next.reports;
        for (const LoraReport & report : reports) {
            if (!report.unsure.empty()) log_warning(report.unsure);
            if (report.left.empty()) continue;
            if (all) throw Error(ErrorCode::model_mismatch, report.left + ". All were asked for.");
            log_warning(report.left);
        }
        if (same) return reports;
        evaluator->set_deltas(next.deltas);
        lora_reports = std::move(next.reports);
        in_force = std::move(wanted);
        return reports;
    }

    LogSink on_log;
    std::unique_ptr<Networks> networks;
    std::optional<Evaluator> evaluator;
    std::vector<LoraReport> lora_reports;
    LoraSet in_force;
    std::optional<ControlNets> control_nets;
    ModelInfo info;
};

std::unique_ptr<Engine> Engine::open(const Source & source, const NoiseGiven & given, const EngineOptions & options,
                                     const Cancellation & cancellation) {
    return std::unique_ptr<Engine>(new Engine(std::make_unique<Impl>(source, given, options, cancellation)));
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() {
    impl_.reset();
    return_freed_memory();
}

const ModelInfo & Engine::info() const {
    return impl_->info;
}

std::vector<ProfileEntry> Engine::profile() const {
    return impl_->evaluator->profile();
}

std::vector<LoraReport> Engine::set_loras(const std::vector<LoraFile> & files, bool all,
                                          const Cancellation & cancellation) {
    cancellation.throw_if_cancelled();
    const LogScope scope(impl_->on_log);
    return impl_->set_loras(files, all, cancellation);
}

void Engine::set_control_nets(const std::vector<std::string> & paths, const Cancellation & cancellation) {
    const LogScope scope(impl_->on_log);
    impl_->control_nets->open(paths, cancellation);
}

TextEncoding Engine::encode_text(int64_t encoder, const std::vector<int32_t> & tokens,
                                 const std::vector<float> & vectors, int64_t clip_skip,
                                 const Cancellation & cancellation) {
    const std::vector<const ClipText *> encoders = text_encoders(*impl_->networks);
    const auto n_encoders = static_cast<int64_t>(encoders.size());
    if (encoder < 0 || encoder >= n_encoders) {
        invalid("encoder: expected 0 to " + std::to_string(n_encoders - 1) + ".");
    }
    const ClipText & text = *encoders[static_cast<size_t>(encoder)];
    const ClipTextConfig & c = text.config();
    const int64_t chunks = static_cast<int64_t>(tokens.size()) / c.positions;
    constexpr int64_t most_chunks = 4096;
    if (chunks < 1 || chunks > most_chunks || chunks * c.positions != static_cast<int64_t>(tokens.size())) {
        invalid("tokens: expected 1 to " + std::to_string(most_chunks) + " chunks of " + std::to_string(c.positions) +
                ".");
    }
    if (clip_skip < 1 || clip_skip > c.layers) invalid("clipSkip: expected 1 to " + std::to_string(c.layers) + ".");
    const int64_t n_vectors = check_vectors(vectors, c.width);
    const TextRows rows = text_rows(tokens, c.vocabulary, n_vectors);
    std::vector<GraphInput> inputs = {{GGML_TYPE_I32, {c.positions, chunks, 1, 1}, rows.tokens.data()}};
    const std::vector<int32_t> ends = first_ends(rows.tokens, c.positions);
    if (c.projection) inputs.push_back({GGML_TYPE_I32, {chunks, 1, 1, 1}, ends.data()});
    if (n_vectors > 0) {
        inputs.push_back({GGML_TYPE_F32, {c.width, n_vectors, 1, 1}, vectors.data()});
        inputs.push_back({GGML_TYPE_I32, {static_cast<int64_t>(tokens.size()), 1, 1, 1}, rows.places.data()});
    }
    const auto build = [&](Layers & layers, std::span<const Tensor> in) {
        ClipText::Inputs all{in[0]};
        if (c.projection) all.ends = in[1];
        if (n_vectors > 0) {
            all.vectors = in[in.size() - 2];
            all.places = in.back();
        }
        return text.build(layers, all, clip_skip);
    };
    TextEncoding result;
    const char * name = encoder == 0 ? "text encoder" : "second text encoder";
    result.hidden = impl_->run(name, std::to_string(clip_skip), inputs, build, cancellation);
    const auto pooled = result.hidden.begin() + chunks * c.positions * c.width;
    result.pooled.assign(pooled, result.hidden.end());
    result.hidden.erase(pooled, result.hidden.end());
    return result;
}

std::vector<float> Engine::predict(const std::vector<float> & latent, Shape4 shape,
                                   const std::vector<float> & timesteps, const Condition & condition,
                                   const Cancellation & cancellation) {
    const UnetConfig & c = impl_->networks->unet->config();
    check_image("latent", latent.size(), shape, c.in_channels);
    const int64_t batch = shape[0];
    if (static_cast<int64_t>(timesteps.size()) != batch)
        invalid("timesteps: expected one for each latent of the batch.");
    constexpr int64_t most_tokens = 1 << 20;
    const int64_t tokens = condition.context_tokens;
    if (tokens < 1 || tokens > most_tokens) invalid("contextTokens: expected 1 to 1048576.");
    check_rows("context", condition.context, batch * tokens, c.context_size);
    check_rows("vector", condition.vector, batch, c.vector_size);
    check_rows("guidance", condition.guidance, batch, c.guidance_size);
    if (condition.identity_attention && c.middle_transformers == 0) {
        throw Error(ErrorCode::model_unsupported,
                    "The UNet of this model has no attention in its middle block to perturb.");
    }
    std::vector<GraphInput> inputs = {
        image_input(latent, shape),
        {GGML_TYPE_F32, {batch, 1, 1, 1}, timesteps.data()},
        {GGML_TYPE_F32, {c.context_size, tokens, batch, 1}, condition.context.data()},
    };
    if (c.vector_size) inputs.push_back({GGML_TYPE_F32, {c.vector_size, batch, 1, 1}, condition.vector.data()});
    if (c.guidance_size) inputs.push_back({GGML_TYPE_F32, {c.guidance_size, batch, 1, 1}, condition.guidance.data()});
    const size_t first_control = inputs.size();
    // And the ControlNets.
    std::string variant = variant_of(condition.tileable) + (condition.identity_attention ? "identity " : "");
    for (const Control & control : condition.controls) {
        check_control(control, impl_->control_nets->size(), shape, impl_->info.vae_scale_factor);
        variant += std::to_string(impl_->control_nets->serial(control.net)) + ' ';
        inputs.push_back(image_input(control.hint, control.shape));
        inputs.push_back({GGML_TYPE_F32, {1, 1, 1, 1}, &control.strength});
    }
    const auto build = [&](Layers & layers, std::span<const Tensor> in) {
        layers.set_tileable(condition.tileable);
        Unet::Inputs all{in[0], in[1], in[2]};
        if (c.vector_size) all.vector = in[3];
        if (c.guidance_size) all.guidance = in[first_control - 1];
        if (condition.identity_attention) all.middle = SelfAttention::identity;
        std::vector<UnetResiduals> added;
        for (size_t i = 0; i < condition.controls.size(); i++) {
            const ControlNet & net = impl_->control_nets->net(condition.controls[i].net);
            added.push_back(net.build(layers, all, in[first_control + 2 * i], in[first_control + 2 * i + 1]));
        }
        return impl_->networks->unet->build(layers, all, added);
    };
    return impl_->run("UNet", variant, inputs, build, cancellation);
}

std::vector<float> Engine::decode(const std::vector<float> & latent, Shape4 shape, Tileable tileable,
                                  const Cancellation & cancellation) {
    check_image("latent", latent.size(), shape, impl_->info.latent_channels, impl_->info.vae_scale_factor);
    const auto build = [&](Layers & layers, std::span<const Tensor> in) {
        layers.set_tileable(tileable);
        return impl_->networks->vae->build_decoder(layers, in[0]);
    };
    return impl_->run("VAE decoder", variant_of(tileable), {image_input(latent, shape)}, build, cancellation);
}

std::vector<float> Engine::encode(const std::vector<float> & image, Shape4 shape, Tileable tileable,
                                  const Cancellation & cancellation) {
    check_image("image", image.size(), shape, 3);
    const VaeSizes sizes = impl_->networks->vae->sizes();
    if (shape[2] % sizes.scale_factor != 0 || shape[3] % sizes.scale_factor != 0) {
        invalid("image: expected sides that are multiples of " + std::to_string(sizes.scale_factor) + ".");
    }
    if (!sizes.has_encoder) {
        throw Error(ErrorCode::model_incomplete,
                    "The VAE of this model has no encoder. Pass a whole VAE (option `vae`).");
    }
    const auto build = [&](Layers & layers, std::span<const Tensor> in) {
        layers.set_tileable(tileable);
        return impl_->networks->vae->build_encoder(layers, in[0]);
    };
    std::vector<float> encoded =
        impl_->run("VAE encoder", variant_of(tileable), {image_input(image, shape)}, build, cancellation);
    return sizes.tiny ? without_variance(encoded, shape[0]) : encoded;
}

std::vector<float> Engine::preview(const std::vector<float> & latent, Shape4 shape, Tileable tileable,
                                   const Cancellation & cancellation) {
    const Networks & networks = *impl_->networks;
    if (!impl_->info.tiny_autoencoder) {
        throw Error(ErrorCode::model_incomplete, "This model was opened without a tiny autoencoder for previews.");
    }
    check_image("latent", latent.size(), shape, impl_->info.latent_channels, impl_->info.vae_scale_factor);
    const Vae & tiny = networks.tiny ? *networks.tiny : *networks.vae;
    const auto build = [&](Layers & layers, std::span<const Tensor> in) {
        layers.set_tileable(tileable);
        return tiny.build_decoder(layers, in[0]);
    };
    return impl_->run("tiny decoder", variant_of(tileable), {image_input(latent, shape)}, build, cancellation);
}

namespace {

// As ComponentInfo has it.
const char * component_kind(Component component) {
    switch (component) {
        case Component::unet: return "unet";
        case Component::text_encoder: return "text_encoder";
        case Component::text_encoder_2: return "text_encoder_2";
        default: return "vae";
    }
}

} // namespace

Inspection inspect(const Source & source, const Cancellation & cancellation) {
    const auto n = bind_networks(source, {}, cancellation);
    Inspection result;
    result.files = n->tensors.table.files();
    result.kind = file_kind_name(n->kind);
    result.family = n->family;
    result.layout = n->tensors.layout;
    if (n->unet) result.noise = n->noise;
    result.components = n->components;
    // Of a family that is known and not run, and of files with nothing of a model, no parts are known.
    if (!n->components.empty() && n->family != "flux" && n->family != "sd3") {
        for (Component component : absent_networks(*n)) result.absent.push_back(component_kind(component));
    }
    result.missing = n->weights->missing();
    result.mismatched = n->weights->mismatched();
    result.mismatched.insert(result.mismatched.end(), n->problems.begin(), n->problems.end());
    result.unused = n->unused;
    if (!result.files.empty()) result.metadata = result.files.front().metadata;
    return result;
}

} // namespace diffusion
