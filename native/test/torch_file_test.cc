// The files of torch.save: both formats are read in place, and inconsistent files are refused with a reason.
#include <cstring>

#include "io/mapped_file.h"
#include "io/read_numbers.h"
#include "io/tensor_table.h"
#include "torch_files.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

constexpr ErrorCode corrupt = ErrorCode::model_corrupt;
constexpr ErrorCode unsupported = ErrorCode::model_unsupported;

const std::string eight_bytes(8, '\1');
const Opcodes key = text_value("a");

TensorTable open(const std::string & path) {
    return TensorTable::open(path, {});
}

// One number of a tensor, of any real type.
double element(const StoredTensor & tensor, int64_t i) {
    float value = -1;
    read_numbers(tensor, i, 1, &value);
    return static_cast<double>(value);
}

void counts(const TensorTable & table, const std::string & name, int first, int n_dims, int64_t columns, int64_t rows) {
    const StoredTensor * tensor = table.find(name);
    if (!check(tensor != nullptr, name + " is there")) return;
    check(tensor->type->widen && tensor->n_dims == n_dims && tensor->ne[0] == columns && tensor->ne[1] == rows,
          name + " has its shape");
    for (int i = 0; i < columns * rows; i++) check_equal(element(*tensor, i), first + i, name + " has its values");
    const MappedFile & file = *table.files()[0].mapping;
    check(tensor->data > file.data() && tensor->data < file.data() + file.size(), name + " stays in the mapped file");
}

// Files by test/reference/torch_files.py.
void reads_what_torch_saves() {
    for (const bool zip : {true, false}) {
        const TensorTable table = open(zip ? "test/reference/training.ckpt" : "test/reference/training_legacy.ckpt");
        for (const char * type : {"float32", "float16", "bfloat16", "float64", "int8", "int16", "int32", "int64"}) {
            counts(table, std::string("tensor.") + type, 0, 2, 3, 2);
        }
        counts(table, "parameter", 0, 2, 3, 2);
        counts(table, "shared.whole", 0, 1, 12, 1);
        counts(table, "shared.part", 3, 2, 2, 3);
        counts(table, "one row of a column", 0, 2, 1, 1);
        counts(table, "scalar", 5, 0, 1, 1);
        check_equal(table.find("empty")->n_elements(), 0, "an empty tensor");
        counts(table, "tensor.uint8", 0, 2, 3, 2);
        if (zip) counts(table, "tensor.uint64", 0, 2, 3, 2);
        if (zip) counts(table, "tensor.float8_e4m3fn", 0, 2, 3, 2);
        if (zip) counts(table, "tensor.float8_e5m2", 0, 2, 3, 2);
        check(table.find("tensor.complex64")->type->name == "c64", "complex numbers are named");
        check(!has_numbers(*table.find("tensor.complex64")) && !has_numbers(*table.find("five axes")), "and not read");
        const StoredTensor &transposed = *table.find("transposed"), &expanded = *table.find("expanded");
        check(read_all_numbers(transposed) == std::vector<float>{0, 3, 1, 4, 2, 5}, "a transposed matrix");
        check(read_all_numbers(expanded) == std::vector<float>(1000, 1.0f), "one number expanded");
        check(transposed.n_bytes == 24 && expanded.n_bytes == 4, "both stay in the mapped file");
        check_equal(table.tensors().size(), zip ? size_t(32) : size_t(27), "only the state_dict");
        const StoredFile & file = table.files()[0];
        const std::map<std::string, std::string> metadata = {
            {"epoch", "3"}, {"global_step", "470000"}, {"loss", "0.125"}, {"pytorch-lightning_version", "1.4.2"}};
        check(file.format == "pytorch" && file.metadata == metadata, "numbers next to the state_dict are metadata");
    }
}

void reads_an_embedding() {
    const TensorTable table = open("test/reference/embedding.pt");
    counts(table, "string_to_param.*", 0, 2, 3, 2);
    check_equal(element(*table.find("string_to_token.*"), 0), 265, "the token");
    const auto & metadata = table.files()[0].metadata;
    check(metadata.at("name") == "shiny" && metadata.at("step") == "500", "name and step");
}

void reads_rare_forms(const TemporaryFolder & folder) {
    const Opcodes vector = vector_value("0", 4);
    const auto reads = [&](const char * what, const std::string & bytes, const std::string & name) {
        const TensorTable table = open(folder.write("rare.pt", bytes));
        const StoredTensor * tensor = table.find(name);
        check(tensor && tensor->n_bytes == 8 && std::memcmp(tensor->data, eight_bytes.data(), 8) == 0, what);
    };
    const auto zip = [&](const Opcodes & root) { return torch_zip(root, {{"0", eight_bytes}}); };
    const Opcodes plain = dict_value({key, vector});
    Zip zip64 = zip(plain), commented = zip(plain);
    zip64.zip64 = true;
    commented.comment = std::string(65535, 'c');
    reads("zip64", zip64.file(), "a");
    reads("a comment after the directory", commented.file(), "a");
    reads("zip entries without a folder", Zip().add("data.pkl", pickle(plain)).add("data/0", eight_bytes).file(), "a");
    reads("nested dictionaries, lists and tuples",
          zip(dict_value({key, "](" + tuple_value({"N", dict_value({number_value(-320), vector})}) + "e"})).file(),
          "a.0.1.-320");
    reads("a tensor alone", zip(vector).file(), "");
    reads("a list at the top", zip("](N" + vector + "e").file(), "1");
    reads("a dictionary from pairs",
          zip(call_value("collections", "OrderedDict", {"](" + tuple_value({key, vector}) + "e"})).file(), "a");
    reads("a class for a key",
          zip(dict_value({class_value("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"), vector}))
              .file(),
          "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint");
    reads("the old function for tensors",
          zip(dict_value({key, call_value("torch._utils", "_rebuild_tensor",
                                          {storage_value("FloatStorage", "0", 2), number_value(0),
                                           tuple_of_numbers({2}), tuple_of_numbers({1})})}))
              .file(),
          "a");
    reads("a file without zip", torch_pickles(plain, "](" + text_value("0") + "e", eight_bytes), "a");

    const Opcodes numbers =
        dict_value({text_value("a"), number_value(INT64_MIN), text_value("b"), std::string("\x8a\2\xd4\xfe"),
                    text_value("c"), std::string("\x8a\0", 2), text_value("d"), "J\xff\xff\xff\xff", text_value("e"),
                    std::string("G\xbf\xf8\0\0\0\0\0\0", 9), text_value("f"), "\x88"});
    const std::map<std::string, std::string> expected = {
        {"a", "-9223372036854775808"}, {"b", "-300"}, {"c", "0"}, {"d", "-1"}, {"e", "-1.5"}, {"f", "true"}};
    check(open(folder.write("numbers.pt", torch_zip(numbers).file())).files()[0].metadata == expected, "numbers");
}

void refuses_broken_archives(const TemporaryFolder & folder) {
    const auto sound = [] { return torch_zip(dict_value({key, vector_value("0", 4)}), {{"0", eight_bytes}}); };
    const auto spoilt = [&](size_t piece, auto change) {
        Zip zip = sound();
        change(zip.pieces.at(piece));
        return zip.file();
    };
    const auto ended = [&](auto change) {
        Zip zip = sound();
        change(zip);
        return zip.file();
    };
    const std::string bytes = sound().file();
    Zip zip64 = sound();
    zip64.zip64 = true;
    // The bytes at the last `mark` are replaced.
    const auto patched = [](std::string file, const std::string & mark, size_t offset, const std::string & by) {
        return file.replace(file.rfind(mark) + offset, by.size(), by);
    };
    const std::string entry = "PK\x01\x02", extra("\x01\0\x18\0", 4);
    std::string no_record = zip64.file();
    no_record[no_record.find("PK\x06\x06")] = 'X';
    const int64_t size = static_cast<int64_t>(bytes.size());
    const std::vector<HostileFile> rows = {
        {"a zip of something else", Zip().add("model.safetensors", "x").file(), unsupported, "no data.pkl"},
        {"an empty zip", "PK\x03\x04" + Zip().file(), unsupported, "no data.pkl"},
        {"TorchScript", Zip().add("a/data.pkl", "x").add("a/constants.pkl", "x").file(), unsupported, "TorchScript"},
        {"big-endian", Zip().add("a/data.pkl", pickle("}")).add("a/byteorder", "big").file(), unsupported,
         "big-endian"},
        {"no directory", bytes.substr(0, bytes.size() - 30), corrupt, "no zip directory"},
        {"a compressed pickle", spoilt(0, [](ZipPiece & p) { p.method = 8; }), unsupported,
         "'archive/data.pkl' is compressed"},
        {"a compressed storage", spoilt(2, [](ZipPiece & p) { p.method = 8; }), unsupported, "'archive/data/0'"},
        {"an encrypted storage", spoilt(2, [](ZipPiece & p) { p.flags = 1; }), unsupported, "encrypted"},
        {"an entry twice", ended([](Zip & z) { z.add("archive/data/0", ""); }), corrupt, "'archive/data/0' twice"},
        {"two names for the same bytes", ended([](Zip & z) {
             z.add("archive/data/1", eight_bytes);
             z.pieces[3].moved = -static_cast<int64_t>(30 + 14 + 6 + 8);
         }),
         corrupt, "overlap"},
        {"an entry inside another", spoilt(0, [](ZipPiece & p) { p.larger = 20; }), corrupt, "overlap"},
        {"an entry that runs into the directory", spoilt(2, [](ZipPiece & p) { p.larger = 1; }), corrupt, "not within"},
        {"an entry beyond the file", spoilt(2, [&](ZipPiece & p) { p.moved = size; }), corrupt, "not within"},
        {"an entry where none is", spoilt(2, [](ZipPiece & p) { p.moved = -1; }), corrupt, "where the file has none"},
        {"an entry of two sizes", spoilt(2, [](ZipPiece & p) { p.unequal = -1; }), corrupt, "two different sizes"},
        {"an entry without its signature", patched(bytes, entry, 0, "XX"), corrupt, "damaged zip directory"},
        {"a name beyond the directory", patched(bytes, entry, 28, "\xff\xff"), corrupt, "damaged zip directory"},
        {"a zip64 field beyond its entry", patched(zip64.file(), extra, 2, "\x19"), corrupt, "damaged zip directory"},
        {"a zip64 field that lacks a number", patched(zip64.file(), extra, 2, "\x17"), corrupt,
         "damaged zip directory"},
        {"more entries than there are", ended([](Zip & z) { z.more_entries = 1; }), corrupt, "damaged"},
        {"65535 entries", ended([](Zip & z) { z.more_entries = 65532; }), corrupt, "claims 65535 zip entries"},
        {"a directory beyond the file", ended([&](Zip & z) { z.directory_moved = size; }), corrupt, "not within"},
        {"a directory in the wrong place", ended([](Zip & z) { z.directory_moved = -1; }), corrupt, "damaged"},
        {"the second disk of two", ended([](Zip & z) { z.disk = 1; }), unsupported, "several"},
        {"2^64 - 1 entries", ended([](Zip & z) { z.zip64 = true, z.more_entries = -4; }), corrupt, "claims 1844674"},
        {"a directory at 2^64 - 1", ended([](Zip & z) { z.zip64 = true, z.directory_moved = -10000; }), corrupt,
         "not within"},
        {"a zip64 size of 2^64 - 1", ended([](Zip & z) { z.zip64 = true, z.pieces[2].larger = -9; }), corrupt,
         "not within"},
        {"a zip64 offset of 2^64 - 1", ended([](Zip & z) { z.zip64 = true, z.pieces[0].moved = -1; }), corrupt,
         "not within"},
        {"a zip64 locator without a directory", no_record, corrupt, "no zip64 directory"},
    };
    refuses(folder, rows);
}

void refuses_broken_old_files(const TemporaryFolder & folder) {
    const Opcodes root = dict_value({key, vector_value("0", 4)}), keys = "](" + text_value("0") + "e";
    const std::string sound = torch_pickles(root, keys, eight_bytes);
    const std::string magic = sound.substr(0, 15), version = sound.substr(0, 15 + 13);
    const std::vector<HostileFile> rows = {
        {"another pickle", pickle(root), unsupported,
         "not one of torch.save: expected its magic number, found a dictionary"},
        {"another version", magic + pickle(number_value(1002)), unsupported, "version 1001"},
        {"big-endian", version + pickle(dict_value({text_value("little_endian"), "\x89"})), unsupported, "big-endian"},
        {"no list of storages", torch_pickles(root, "}", ""), corrupt, "expected a list of storages"},
        {"a storage that is not listed", torch_pickles(root, "]", ""), corrupt, "lacks the storage '0'"},
        {"a storage without a tensor", torch_pickles(root, "](" + key + "e", eight_bytes), corrupt, "no tensor is in"},
        {"a storage of another size", torch_pickles(root, keys, eight_bytes + eight_bytes), corrupt, "two different"},
        {"a storage cut short", sound.substr(0, sound.size() - 1), corrupt, "truncated"},
        {"a storage without a size", sound.substr(0, sound.size() - 9), corrupt, "truncated"},
        {"one storage in two sizes",
         torch_pickles(dict_value({key, vector_value("0", 4), text_value("b"), vector_value("0", 5)}), keys,
                       {eight_bytes}),
         corrupt, "two different sizes"},
    };
    refuses(folder, rows);
}

void refuses_every_beginning(const TemporaryFolder & folder) {
    for (const char * name : {"training.ckpt", "training_legacy.ckpt"}) {
        std::ifstream file(std::string("test/reference/") + name, std::ios::binary);
        const std::string bytes{std::istreambuf_iterator<char>(file), {}};
        for (size_t length = 9; length < bytes.size(); length += 13) {
            const std::string path = folder.write("cut.ckpt", bytes.substr(0, length));
            check_throws(std::string(name) + " cut at " + std::to_string(length), corrupt, "", [&] { open(path); });
        }
    }
}

void reads_shards(const TemporaryFolder & folder) {
    const auto shard = [](const char * name) {
        return torch_zip(dict_value({text_value(name), vector_value("0", 4)}), {{"0", eight_bytes}}).file();
    };
    folder.write("one.bin", shard("a"));
    folder.write("two.bin", shard("b"));
    const TensorTable table =
        open(folder.write("pytorch_model.bin.index.json", R"({"weight_map":{"a":"one.bin","b":"two.bin"}})"));
    check(table.files().size() == 2 && table.tensors().size() == 2 && table.find("a") && table.find("b"), "shards");
}

void can_be_cancelled(const TemporaryFolder & folder) {
    const std::string path = folder.write("whole.ckpt", torch_zip("}").file());
    Cancellation cancelled;
    cancelled.cancel();
    check_throws("cancelled", ErrorCode::cancelled, "", [&] { TensorTable::open(path, cancelled); });
}

} // namespace

int main() {
    const TemporaryFolder folder;
    reads_what_torch_saves();
    reads_an_embedding();
    reads_rare_forms(folder);
    reads_shards(folder);
    refuses_broken_archives(folder);
    refuses_broken_old_files(folder);
    refuses_every_beginning(folder);
    can_be_cancelled(folder);
    return finish();
}
