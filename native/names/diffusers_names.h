// From diffusers' names of UNet, ControlNet and VAE tensors to the original ones.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace diffusion {

// The original UNet numbers its blocks consecutively, diffusers by level and position. The mapping depends on the
// number of residual blocks of each level, and on whether a level has attention and a resampler: first collected from
// all names, then used. Names have no prefix: "down_blocks.0.resnets.1.norm1.weight".
class DiffusersUnet {
public:
    void note(std::string_view name);
    // Nothing if the name is not one of diffusers'.
    std::optional<std::string> convert(std::string_view name) const;

private:
    struct Level {
        int resnets = 0;
        bool attention = false;
        bool resampler = false;
    };
    // Index of the first input (or output) block of a level, one after those of the levels before it.
    int first_input_block(int level) const;
    int first_output_block(int level) const;
    std::optional<std::string> convert_down(int level, std::string_view rest) const;
    std::optional<std::string> convert_up(int level, std::string_view rest) const;

    std::map<int, Level> down_, up_;
};

// A ControlNet has the names of a UNet's first half, and its own: the original numbers the layers that embed the
// control image consecutively, including activations.
class DiffusersControlNet {
public:
    void note(std::string_view name);
    std::optional<std::string> convert(std::string_view name) const;

private:
    DiffusersUnet unet_;
    int hint_blocks_ = 0;
};

// The original VAE counts the levels of its decoder from the image up, diffusers from the latent on.
class DiffusersVae {
public:
    void note(std::string_view name);
    std::optional<std::string> convert(std::string_view name) const;

private:
    std::optional<std::string> convert_half(std::string_view half, std::string_view rest) const;

    int up_levels_ = 0;
};

} // namespace diffusion
