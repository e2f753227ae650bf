// Names inside training wrappers are mapped to those of the network; of several copies one is used.
#include <algorithm>

#include "check.h"
#include "files.h"
#include "names/unwrap.h"
#include "network/image_network.h"
#include "source/file_kind.h"
#include "source/source.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

using Names = std::vector<std::string>;

Names sorted(Names names) {
    std::ranges::sort(names);
    return names;
}

Names names_of(const TensorTable & table) {
    Names names;
    for (const StoredTensor & tensor : table.tensors()) names.push_back(tensor.name);
    return sorted(names);
}

const Names bare = {"input_blocks.0.0.weight", "input_blocks.1.0.in_layers.0.weight", "out.2.bias"};

Names under(const std::string & prefix, const Names & names) {
    Names result;
    for (const std::string & name : names) result.push_back(prefix + name);
    return result;
}

Names joined(Names a, const Names & b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

void names_networks(const TemporaryFolder & folder) {
    const auto opened = [&](const Names & names) {
        const std::string path = folder.write("wrapped.safetensors", safetensors_of(names));
        return names_of(open_source({path, "", "", ""}, {}).table);
    };
    const Names unet = sorted(under("model.diffusion_model.", bare));
    for (const char * prefix : {"", "module.", "_orig_mod.", "model.", "net.", "unet.", "diffusion_model.",
                                "state_dict.model.module.", "model.diffusion_model._orig_mod.",
                                "_fsdp_wrapped_module.unet.", "ema.", "model.model.diffusion_model.", "some_word."}) {
        check(opened(under(prefix, bare)) == unet, std::string("under '") + prefix + "'");
    }
    const Names vae = {"encoder.down.0.block.0.norm1.weight", "decoder.conv_out.bias"};
    const Names own_vae = sorted(under("first_stage_model.", vae));
    for (const char * prefix :
         {"", "first_stage_model.", "first_stage_model.first_stage_model.", "module.", "model."}) {
        check(opened(under(prefix, vae)) == own_vae, std::string("a VAE under '") + prefix + "'");
    }
    const Names model = joined(under("model.diffusion_model.", bare), under("first_stage_model.", vae));
    for (const char * prefix : {"module.", "state_dict.", "model."}) {
        check(opened(under(prefix, model)) == sorted(model), std::string("a checkpoint under '") + prefix + "'");
    }
    const Names compiled = joined(under("model.diffusion_model._orig_mod.", bare), under("first_stage_model.", vae));
    check(opened(compiled) == sorted(model), "a checkpoint of which one network was wrapped");
    const Names control = {"input_hint_block.0.weight", "zero_convs.0.0.weight", "middle_block_out.0.bias"};
    check(opened(under("net.module.", control)) == sorted(under("control_model.", control)), "a ControlNet");
}

void takes_one_copy(const TemporaryFolder & folder) {
    const auto opened = [&](const Names & names) {
        const std::string path = folder.write("copies.safetensors", safetensors_of(names));
        return names_of(open_source({path, "", "", ""}, {}).table);
    };
    const Names unet = under("model.diffusion_model.", bare);
    const auto with = [&](const Names & names) { return sorted(joined(unet, names)); };
    check(opened(joined(under("model.", bare), under("ema.", bare))) == sorted(unet), "the averaged one");
    check(opened(joined(under("online_model.", bare), under("ema_model.", bare))) == sorted(unet), "in any order");
    check(opened(joined(under("ema.", {bare[0]}), under("net.", {"strange.weight"}))) ==
              sorted({unet[0], "net.strange.weight"}),
          "other tensors stay, to be reported as unused");
    check(opened(joined(under("net.", bare), {"global_step", "optimizer.state.0.exp_avg"})) ==
              with({"global_step", "optimizer.state.0.exp_avg"}),
          "counters keep their names");
    check(opened(joined(bare, under("strange.", bare))) == with(under("strange.", bare)),
          "a recognised network is not unwrapped");
    check(opened({"strange.weight", "strange.bias"}) == Names{"strange.bias", "strange.weight"},
          "nor is an unknown one");
}

void names_upscalers(const TemporaryFolder & folder) {
    const Names own = {"conv_first.weight", "body.0.rdb1.conv1.weight", "conv_last.bias"};
    for (const char * prefix : {"", "params.", "params_ema.", "module.", "net_g.", "state_dict.module.", "model."}) {
        const std::string path = folder.write("upscaler.safetensors", safetensors_of(under(prefix, own)));
        const TensorTable table = TensorTable::open(path, {});
        check(names_of(canonical_image_network(table)) == sorted(own),
              std::string("an upscaler under '") + prefix + "'");
        check(file_kind(open_source({path, "", "", ""}, {}).table) == FileKind::upscaler, "is recognised as one");
    }
    const std::string path =
        folder.write("both.safetensors", safetensors_of(joined(under("params.", own), under("params_ema.", own))));
    check(names_of(canonical_image_network(TensorTable::open(path, {}))) == sorted(own), "of two copies one");
    const std::string old = folder.write(
        "old.safetensors", safetensors_of({"module.model.0.weight", "module.model.1.sub.0.RDB1.conv1.0.weight"}));
    check(names_of(canonical_image_network(TensorTable::open(old, {}))) ==
              Names{"body.0.rdb1.conv1.weight", "conv_first.weight"},
          "where `model.` is a part of the names");
}

} // namespace

int main() {
    const TemporaryFolder folder;
    names_networks(folder);
    takes_one_copy(folder);
    names_upscalers(folder);
    return finish();
}
