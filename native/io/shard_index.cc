// The index of a model in several files: {"weight_map": {tensor name: file name}}.
#include "io/shard_index.h"

#include <map>
#include <string_view>

#include "io/file_error.h"
#include "io/json.h"

namespace diffusion {

namespace {

using WeightMap = std::map<std::string, std::string>; // tensor name -> file name

// Only a name in the folder of the index is accepted: a path could lead to any file on the machine.
void check_shard_name(const std::string & path, const std::string & shard) {
    const bool plain = !shard.empty() && shard != "." && shard != ".." &&
                       shard.find_first_of(std::string_view("/\\:\0", 4)) == std::string::npos;
    if (!plain) {
        throw corrupt_file(path, "names the shard " + quote(shard) +
                                     ", which is not the name of a file in the folder of the index");
    }
}

WeightMap read_weight_map(const MappedFile & index) {
    const std::string & path = index.path();
    WeightMap map;
    visit_json_strings({reinterpret_cast<const char *>(index.data()), index.size()}, path,
                       [&](const std::vector<std::string> & keys, std::string & value) {
                           if (keys.size() != 2 || keys[0] != "weight_map") return;
                           check_shard_name(path, value);
                           if (!map.emplace(keys[1], std::move(value)).second) {
                               throw corrupt_file(path, "lists the tensor " + quote(keys[1]) + " twice");
                           }
                       });
    if (map.empty()) {
        throw unsupported_file(path,
                               "is JSON, but not the index of a sharded model: it has no \"weight_map\" with file "
                               "names; pass a .safetensors or .gguf file, or the folder of a diffusers model");
    }
    return map;
}

} // namespace

TensorTable read_shard_index(const MappedFile & index,
                             const std::function<TensorTable(std::shared_ptr<const MappedFile>)> & read,
                             const Cancellation & cancellation) {
    const std::string & path = index.path();
    const WeightMap weight_map = read_weight_map(index);
    TensorTable table;
    std::map<std::string, int> shards; // file name -> index into table.files()
    for (const auto & [name, shard] : weight_map) {
        if (shards.count(shard)) continue;
        cancellation.throw_if_cancelled();
        const auto shard_path = (native_path(path).parent_path() / native_path(shard)).u8string();
        shards.emplace(shard, static_cast<int>(table.files().size()));
        table.merge(read(MappedFile::open({shard_path.begin(), shard_path.end()})));
    }
    for (const auto & [name, shard] : weight_map) {
        const StoredTensor * tensor = table.find(name);
        if (!tensor || tensor->file != shards.at(shard)) {
            throw corrupt_file(path,
                               "says that " + quote(shard) + " holds the tensor " + quote(name) + ", but it does not");
        }
    }
    for (const StoredTensor & tensor : table.tensors()) {
        if (!weight_map.count(tensor.name)) {
            throw corrupt_file(path, "does not list the tensor " + quote(tensor.name) + " of " +
                                         quote(table.files()[tensor.file].path));
        }
    }
    return table;
}

} // namespace diffusion
