// From paths to the tensors of one model under canonical names: the original (LDM) names of Stable Diffusion.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "cancellation.h"
#include "io/tensor_table.h"
#include "names/names.h"
#include "source/noise_sources.h"

namespace diffusion {

struct Source {
    std::string model; // empty if not given
    std::string unet;
    std::string text_encoder;
    std::string vae;
    std::string text_encoder_2{};   // the second of SDXL
    std::string tiny_autoencoder{}; // for previews
    std::string control_net{};      // never part of `model`
    std::string language_model{};   // a text encoder that is one
};

struct ModelTensors {
    TensorTable table;  // canonical names
    std::string layout; // "ldm" or "diffusers", of the first file
    NoiseSources noise; // of the UNet's files
    // Of each tensor: its name in the file and its component.
    struct Origin {
        std::string name;
        ModelPart component;
    };
    std::vector<Origin> origins;
    // By ModelPart: an OpenCLIP text encoder, by the names of its tensors or transformers' config.json.
    std::array<bool, part_count> open_clip = {};
};

// Opens all parts, resolves diffusers folders, renames to canonical names, and lets a separate part replace that of
// `model`. Tensors of unknown components keep their own names. Throws Error.
ModelTensors open_source(const Source & source, const Cancellation & cancellation);

// The tensors of one file under their own names, without what training put before them.
struct NamedTensors {
    TensorTable table;
    CanonicalNames names; // of each
};

// Opens a file, or the shards of an index, whatever it contains. Throws Error.
NamedTensors open_tensors(const std::string & path, const Cancellation & cancellation);

// One file, or the index of its shards, and no separate part.
bool is_file_alone(const Source & source);

// For a folder, the weights of its depth estimator: that of a diffusers model, or of transformers. Any other path is
// returned unchanged.
std::string depth_estimator_file(const std::string & path);

} // namespace diffusion
