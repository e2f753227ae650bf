// See networks.h.
#include "model/networks.h"

#include <algorithm>

#include "io/file_error.h"
#include "model/names.h"

namespace diffusion {

namespace {

bool has_prefix(const TensorTable & table, const std::string & prefix) {
    return std::any_of(table.tensors().begin(), table.tensors().end(),
                       [&](const StoredTensor & t) { return t.name.compare(0, prefix.size(), prefix) == 0; });
}

// The family by what only its checkpoints hold; empty where none matches.
std::string recognise(const TensorTable & table, const Unet * unet) {
    const auto unet_has = [&](const char * name) { return has_prefix(table, std::string(unet_prefix) + name); };
    if (unet_has("double_blocks.") || has_prefix(table, "double_blocks.")) return "flux";
    if (unet_has("joint_blocks.") || has_prefix(table, "joint_blocks.")) return "sd3";
    if (!unet) return "";
    if (unet_has("label_emb.")) return "sdxl";
    const int64_t in = unet->config().in_channels, out = unet->config().out_channels;
    std::string family = unet->config().head_size > 0 ? "sd2" : "sd1";
    if (in == 9 && out == 4) family += "-inpaint";
    if (in == 5 && out == 4) family += "-depth";
    if (in == 8 && out == 4) family += "-edit";
    return family;
}

template <typename Network> std::unique_ptr<Network> bind_one(Networks & networks, const char * prefix) {
    if (!has_prefix(networks.tensors.table, prefix)) return nullptr;
    try {
        return std::make_unique<Network>(*networks.weights, Network::read_config(*networks.weights));
    } catch (const Error & error) {
        networks.problems.push_back(error.what());
        return nullptr;
    }
}

ComponentInfo describe(const TensorTable & table, const char * kind, const std::string & prefix) {
    ComponentInfo info;
    info.kind = kind;
    for (const StoredTensor & tensor : table.tensors()) {
        if (tensor.name.compare(0, prefix.size(), prefix) != 0) continue;
        info.parameters += tensor.n_elements();
        info.n_bytes += static_cast<int64_t>(tensor.n_bytes);
        info.types[tensor.type_name]++;
    }
    return info;
}

void describe_components(Networks & n) {
    const TensorTable & table = n.tensors.table;
    if (n.text) {
        ComponentInfo info = describe(table, "text_encoder", text_prefix);
        const ClipTextConfig & c = n.text->config();
        info.config = {{"width", c.width},         {"layers", c.layers},         {"heads", c.heads},
                       {"positions", c.positions}, {"vocabulary", c.vocabulary}, {"intermediate", c.intermediate}};
        n.components.push_back(std::move(info));
    }
    if (n.unet) {
        ComponentInfo info = describe(table, "unet", unet_prefix);
        const UnetConfig & c = n.unet->config();
        std::vector<int64_t> channels;
        for (const UnetStage & stage : c.inputs) channels.push_back(stage.channels);
        info.config = {{"inChannels", c.in_channels},       {"outChannels", c.out_channels},
                       {"modelChannels", c.model_channels}, {"contextSize", c.context_size},
                       {"downsampling", c.downsampling()},  {"blockChannels", channels}};
        n.components.push_back(std::move(info));
    }
    if (n.vae) {
        ComponentInfo info = describe(table, "vae", vae_prefix);
        const AutoencoderConfig & c = n.vae->config();
        info.config = {{"latentChannels", c.latent_channels},
                       {"levelChannels", c.level_channels},
                       {"scaleFactor", c.scale_factor()},
                       {"encoder", c.has_encoder}};
        n.components.push_back(std::move(info));
    }
}

// "a, b, c and 12 more". What comes from a file is to be quoted.
std::string some_of(const std::vector<std::string> & names) {
    std::string text;
    for (size_t i = 0; i < std::min<size_t>(names.size(), 5); i++) text += (i ? ", " : "") + names[i];
    if (names.size() > 5) text += " and " + std::to_string(names.size() - 5) + " more";
    return text;
}

std::string where(const Networks & n) {
    const auto & files = n.tensors.table.files();
    std::string text = files.empty() ? "" : files.front().path;
    return files.size() > 1 ? text + " and " + std::to_string(files.size() - 1) + " more" : text;
}

[[noreturn]] void refuse_unknown(const Networks & n) {
    const TensorTable & table = n.tensors.table;
    std::string found = "it holds no tensor at all";
    if (!table.tensors().empty()) {
        found = "it holds " + std::to_string(table.tensors().size()) + " tensors such as " +
                quote(table.tensors().front().name);
    }
    if (!table.files().empty()) {
        const auto & metadata = table.files().front().metadata;
        const auto architecture = metadata.find("general.architecture");
        if (architecture != metadata.end()) found += ", of the architecture " + quote(architecture->second);
    }
    throw Error(ErrorCode::model_unsupported, where(n) + ": expected a Stable Diffusion model, but " + found +
                                                  ". Pass a Stable Diffusion 1.x checkpoint.");
}

std::vector<std::string> absent_networks(const Networks & n) {
    std::vector<std::string> names;
    if (!has_prefix(n.tensors.table, unet_prefix)) names.push_back("the UNet (option `unet`)");
    if (!has_prefix(n.tensors.table, text_prefix)) names.push_back("the text encoder (option `textEncoder`)");
    if (!has_prefix(n.tensors.table, vae_prefix)) names.push_back("the VAE (option `vae`)");
    return names;
}

void require_matching_sizes(const Networks & n) {
    const int64_t width = n.text->config().width, context = n.unet->config().context_size;
    if (width != context) {
        throw Error(ErrorCode::model_mismatch, where(n) + ": the UNet expects a text encoder of width " +
                                                   std::to_string(context) + ", but this one has width " +
                                                   std::to_string(width) + ". Use a text encoder of the same family.");
    }
    const int64_t latent = n.vae->config().latent_channels;
    if (latent != n.unet->config().in_channels || latent != n.unet->config().out_channels) {
        throw Error(ErrorCode::model_mismatch,
                    where(n) + ": the UNet works on latents of " + std::to_string(n.unet->config().in_channels) +
                        " channels, but the VAE has " + std::to_string(latent) + ". Use a VAE of the same family.");
    }
}

} // namespace

std::unique_ptr<Networks> bind_networks(const Source & source, const Cancellation & cancellation) {
    auto n = std::make_unique<Networks>();
    n->tensors = open_source(source, cancellation);
    const TensorTable & table = n->tensors.table;
    n->weights = std::make_unique<WeightBinder>(table);
    n->text = bind_one<ClipText>(*n, text_prefix);
    n->unet = bind_one<Unet>(*n, unet_prefix);
    n->vae = bind_one<Autoencoder>(*n, vae_prefix);
    n->family = recognise(table, n->unet.get());
    const std::string & prediction = n->tensors.prediction;
    if (!prediction.empty() && prediction != "epsilon" && prediction != "v") {
        n->problems.push_back("Expected a UNet that predicts epsilon or v, found one trained to predict " +
                              quote(prediction) + ".");
    }
    for (const StoredTensor & tensor : table.tensors()) {
        if (!n->weights->uses(tensor.name) && !ignorable(tensor.name)) n->unused.push_back(tensor.name);
    }
    describe_components(*n);
    return n;
}

void require_runnable(const Networks & n) {
    const std::vector<std::string> absent = absent_networks(n);
    if (n.family != "sd1" && !n.family.empty()) {
        throw Error(ErrorCode::model_unsupported,
                    where(n) + ": expected a Stable Diffusion 1.x text-to-image model, found " + "one of the family '" +
                        n.family + "', which this version does not run.");
    }
    if (absent.size() == 3) refuse_unknown(n);
    if (!n.problems.empty()) throw Error(ErrorCode::model_unsupported, where(n) + ": " + n.problems.front());
    if (!absent.empty()) {
        throw Error(ErrorCode::model_incomplete, where(n) + ": expected a whole model, but " + some_of(absent) +
                                                     (absent.size() > 1 ? " are" : " is") + " missing.");
    }
    if (!n.weights->missing().empty()) {
        throw Error(ErrorCode::model_incomplete, where(n) + ": " + std::to_string(n.weights->missing().size()) +
                                                     " tensors are missing: " + some_of(n.weights->missing()) +
                                                     ". The file is cut short or of another kind of model.");
    }
    if (!n.weights->mismatched().empty()) {
        throw Error(ErrorCode::model_mismatch, where(n) + ": " + std::to_string(n.weights->mismatched().size()) +
                                                   " tensors do not fit: " + some_of(n.weights->mismatched()) + ".");
    }
    if (!n.unused.empty()) {
        std::vector<std::string> names; // as many as are shown
        for (size_t i = 0; i < n.unused.size(); i++) names.push_back(i < 5 ? quote(n.unused[i]) : "");
        throw Error(ErrorCode::model_unsupported,
                    where(n) + ": " + std::to_string(n.unused.size()) + " tensors would go unused: " + some_of(names) +
                        ". The picture would not be what the file stands for, so it is refused.");
    }
    require_matching_sizes(n);
}

} // namespace diffusion
