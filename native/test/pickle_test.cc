// Pickles in checkpoints: code, invalid opcodes, values that would grow and inconsistent tensors are refused with a
// reason.
#include "torch_files.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

constexpr ErrorCode corrupt = ErrorCode::model_corrupt;
constexpr ErrorCode unsupported = ErrorCode::model_unsupported;
constexpr int64_t largest = INT64_MAX;

const std::string eight_bytes(8, '\1');
const Opcodes key = text_value("a");
const Opcodes two_floats = storage_value("FloatStorage", "0", 2);

std::string with(const Opcodes & root) {
    return torch_zip(root, {{"0", eight_bytes}}).file();
}

void refuses_code(const TemporaryFolder & folder) {
    const Opcodes command = tuple_value({text_value("touch /tmp/owned")});
    const auto stacked = [](const std::string & module, const std::string & name) {
        return text_value(module) + text_value(name) + "\x93";
    };
    const std::vector<HostileFile> rows = {
        {"a system call", with(call_value("posix", "system", {text_value("ls")})), unsupported, "class 'posix.system'"},
        {"a system call of Windows", with(class_value("nt", "system") + command + "R"), unsupported, "'nt.system'"},
        {"eval", with(class_value("builtins", "eval") + command + "R"), unsupported, "'builtins.eval'"},
        {"eval of Python 2", with(class_value("__builtin__", "eval") + command + "R"), unsupported, "eval"},
        {"getattr", with(class_value("builtins", "getattr")), unsupported, "'builtins.getattr'"},
        {"a class from the stack", with(stacked("os", "system") + command + "R"), unsupported, "'os.system'"},
        {"a class that is never called", with(dict_value({key, class_value("os", "system")})), unsupported,
         "os.system"},
        {"a path through a known module", with(stacked("torch", "os.system")), unsupported, "'torch.os.system'"},
        {"a module of a model", with(class_value("ldm.models.diffusion.ddpm", "LatentDiffusion")), unsupported,
         "save only the state_dict()"},
        {"a name that would clear the terminal", with(class_value("\x1b[2J", "x")), unsupported, "'\\x1b[2J.x'"},
        {"a class made in place", with("(iposix\nsystem\n"), unsupported, "opcode INST"},
        {"the extension registry", with("\x82\x01"), unsupported, "opcode EXT1"},
        {"code before the tensors of the old format", pickle(call_value("posix", "system", {text_value("ls")})),
         unsupported, "class 'posix.system'"},
    };
    refuses(folder, rows);
}

void refuses_broken_pickles(const TemporaryFolder & folder) {
    const auto raw = [](const std::string & bytes) { return Zip().add("a/data.pkl", bytes).file(); };
    const std::vector<HostileFile> rows = {
        {"empty", raw(""), corrupt, "ends too early"},
        {"protocol 0", raw("I1\n."), corrupt, "begin with a protocol"},
        {"protocol 1", raw("\x80\x01}."), unsupported, "protocol 1"},
        {"protocol 6", raw("\x80\x06}."), unsupported, "protocol 6"},
        {"no STOP", raw("\x80\x02}"), corrupt, "ends too early"},
        {"STOP on an empty stack", raw("\x80\x02."), corrupt, "a value where there is none"},
        {"a byte that is not an opcode", with("\xff"), corrupt, "the byte 255, which is not an opcode"},
        {"an opcode of protocol 0", with("S'a'\n"), unsupported, "opcode STRING"},
        {"an out-of-band buffer", with("\x97"), unsupported, "opcode NEXT_BUFFER"},
        {"text past the end", with("X\xff\xff\xff\xff"), corrupt, "ends too early"},
        {"text of 2^64 - 1 bytes", with("\x8d" + std::string(8, '\xff')), corrupt, "ends too early"},
        {"number of 2^32 - 1 bytes", with("\x8b\xff\xff\xff\xff"), corrupt, "ends too early"},
        {"a line without an end", with("cposix"), corrupt, "line without an end"},
        {"a tuple of too little", with("N\x87"), corrupt, "a value where there is none"},
        {"a value from under the mark", with("N(\x85"), corrupt, "a value where there is none"},
        {"no mark", with("Nt"), corrupt, "a mark that it never set"},
        {"an empty memo", with("h\x05"), corrupt, "never memorised"},
        {"memory number 2^32 - 1", with("Nr\xff\xff\xff\xff"), corrupt, "under the number 4294967295"},
        {"a key without a value", with("}(Nu"), corrupt, "a key without a value"},
        {"entries for a list", with("]NNs"), corrupt, "adds items to a list"},
        {"items for a dictionary", with("}Na"), corrupt, "adds items to a dictionary"},
        {"state for a tuple", with(")Nb"), corrupt, "gives a state to a tuple"},
        {"a call of a string", with(text_value("posix.system") + ")R"), corrupt, "calls the string 'posix.system'"},
        {"a call of a call", with(class_value("torch", "Size") + ")R)R"), corrupt, "calls an object of class"},
        {"a call with a list", with(class_value("torch", "Size") + "]R"), corrupt, "with a list"},
        {"a call of a type", with(class_value("torch", "float16") + ")R"), corrupt, "which is a type"},
        {"a class named by numbers", with("K\1K\2\x93"), corrupt, "names a class by the number 1"},
        {"pairs of three", with(call_value("collections", "OrderedDict", {"](" + tuple_of_numbers({1, 2, 3}) + "e"})),
         corrupt, "makes a dictionary from a tuple"},
    };
    refuses(folder, rows);
}

// Small files that would take far more memory or time than their size.
void refuses_what_grows(const TemporaryFolder & folder) {
    const auto repeat = [](const std::string & text, size_t count) {
        std::string result;
        for (size_t i = 0; i < count; i++) result += text;
        return result;
    };
    // Each list holds the one before twice.
    Opcodes doubling = "]q\1";
    for (int i = 0; i < 30; i++) doubling += "](h\1h\1eq\1";
    const Opcodes remade = "](" + repeat("K\1K\2\x86", 1000) + "eq\1" + class_value("collections", "OrderedDict") +
                           "q\2h\1\x85q\3" + repeat("h\2h\3R", 10000);
    const Opcodes container =
        class_value("torch.nn.modules.container", "ParameterDict") + ")\x81" + "}(" + repeat("K\1K\2", 10000) + "ubq\1";
    const std::string long_key(500, 'k');
    const std::vector<HostileFile> rows = {
        {"2000001 values", with(repeat(")", 2000001)), unsupported, "more than 2000000 values"},
        {"8000001 references", with("Nq\1" + repeat("h\1", 8000001)), unsupported, "more than 8000000 times"},
        {"2000001 marks", with(repeat("(", 2000001)), corrupt, "too many marks"},
        {"lists that double", with(doubling), unsupported, "leads to more than 2000000 values"},
        {"a list that holds itself", with("]q\1h\1a"), corrupt, "hold themselves"},
        {"a dictionary that holds itself", with("}q\1" + key + "h\1s"), corrupt, "hold themselves, at 'a.a.a"},
        {"nested 100000 deep", with(repeat("]", 100000) + repeat("a", 99999)), corrupt, "more than 32 deep"},
        {"a dictionary made again and again", with(remade), unsupported, "more than 8000000 times"},
        {"a container that is referenced repeatedly", with(container + "0](" + repeat("h\1", 1000) + "e"), unsupported,
         "leads to more than 2000000 values"},
        {"names that grow with depth",
         with(text_value(long_key) + "q\1" + "0" + dict_value({"h\1", dict_value({"h\1", vector_value("0", 4)})})),
         unsupported, "a name of more than 512 bytes"},
    };
    refuses(folder, rows);
}

void refuses_broken_tensors(const TemporaryFolder & folder) {
    const auto one = [](const Opcodes & tensor) { return with(dict_value({key, tensor})); };
    const auto in = [&](const Opcodes & storage) { return one(tensor_value(storage, 0, {2}, {1})); };
    const auto shaped = [&](int64_t offset, const std::vector<int64_t> & shape, const std::vector<int64_t> & strides) {
        return one(tensor_value(two_floats, offset, shape, strides));
    };
    const auto id = [&](const std::vector<Opcodes> & items) { return in(tuple_value(items) + "Q"); };
    const Opcodes float_type = class_value("torch", "FloatStorage");
    const Opcodes numbers = tuple_of_numbers({1});
    const Opcodes storage = text_value("storage"), zero = text_value("0"), cpu = text_value("cpu");
    const std::vector<HostileFile> rows = {
        {"a string as the root", with(key), unsupported, "expected a dictionary of tensors, found the string 'a'"},
        {"an object as the root that is not a tensor", with(call_value("torch", "device", {text_value("cpu")})),
         unsupported, "torch.device"},
        {"a key that is not UTF-8", with(dict_value({text_value("\xC3("), "N"})), corrupt, "'\\xc3('"},
        {"a key with a NUL", with(dict_value({text_value({"a\0b", 3}), "N"})), corrupt, "NUL"},
        {"a key of a megabyte", with(dict_value({text_value(std::string(1000000, 'k')), "N"})), corrupt, "longer"},
        {"a name twice", with(dict_value({key, vector_value("0", 4), key, vector_value("0", 1)})), corrupt,
         "'a' twice"},
        {"a name in two spellings",
         with(dict_value({text_value("a.a"), vector_value("0", 4), key, dict_value({key, vector_value("0", 1)})})),
         corrupt, "'a.a' twice"},
        {"beyond the storage", shaped(0, {3}, {1}), corrupt,
         "'a' of shape [3] does not fit into its storage of 8 bytes"},
        {"an offset beyond the storage", shaped(3, {0}, {1}), corrupt, "does not fit"},
        {"an offset of 2^63 - 1", shaped(largest, {2}, {1}), corrupt, "does not fit"},
        {"a negative offset", shaped(-1, {2}, {1}), corrupt, "the number -1 in its offset"},
        {"a negative size", shaped(0, {-2}, {1}), corrupt, "the number -2 in its shape"},
        {"a negative stride", shaped(1, {2}, {-1}), corrupt, "the number -1 in its strides"},
        {"sizes that overflow", shaped(0, {largest, largest}, {largest, 1}), corrupt, "too large"},
        {"sizes that overflow next to a zero", shaped(0, {largest, 0, 3}, {0, 3, 1}), corrupt, "too large"},
        {"bytes that overflow", shaped(0, {largest}, {1}), corrupt, "does not fit"},
        {"a stride beyond the storage", shaped(0, {2}, {2}), corrupt,
         "'a' of shape [2] and strides [2] does not fit into its storage of 8 bytes"},
        {"a stride of 2^63 - 1", shaped(0, {2}, {largest}), corrupt, "does not fit"},
        {"strides that overflow", shaped(0, {3, 2}, {largest, largest}), corrupt, "does not fit"},
        {"strides that overflow together", shaped(0, {2, 2}, {largest - 1, 2}), corrupt, "does not fit"},
        {"an offset with strides", shaped(1, {2, 2}, {1, 0}), corrupt, "does not fit"},
        {"a number repeated 2^40 times", shaped(0, {1 << 20, 1 << 20}, {0, 0}), unsupported, "repeats 1 numbers"},
        {"fewer strides than sizes", shaped(0, {2, 1}, {1}), corrupt, "the shape [2, 1], but the strides [1]"},
        {"65 dimensions", shaped(0, std::vector<int64_t>(65, 1), std::vector<int64_t>(65, 1)), corrupt,
         "64 dimensions"},
        {"a storage that is not there", in(storage_value("FloatStorage", "1", 2)), corrupt, "lacks the storage '1'"},
        {"a storage larger than its entry", in(storage_value("FloatStorage", "0", 3)), corrupt,
         "should have 12 bytes and has 8"},
        {"a storage of 2^63 - 1 elements", in(storage_value("FloatStorage", "0", largest)), corrupt, "outside"},
        {"a storage of -1 elements", in(storage_value("FloatStorage", "0", -1)), corrupt, "outside"},
        {"a storage of no storage type", in(storage_value("float32", "0", 2)), corrupt, "outside"},
        {"a string for a storage", one(tensor_value(key, 0, {2}, {1})), corrupt, "is made from the string 'a'"},
        {"a string for an id", one(tensor_value(key + "Q", 0, {2}, {1})), corrupt, "outside"},
        {"an id that is too short", id({storage, float_type, zero, cpu}), corrupt, "outside"},
        {"an id of something else", id({cpu, float_type, zero, cpu, number_value(2)}), corrupt, "outside"},
        {"a number for a key", id({storage, float_type, number_value(0), cpu, number_value(2)}), corrupt, "outside"},
        {"a view of a storage", id({storage, float_type, zero, cpu, number_value(2), numbers}), unsupported, "view"},
        {"a parameter without a tensor", one(call_value("torch._utils", "_rebuild_parameter", {})), corrupt,
         "without a tensor"},
        {"a tensor without arguments", one(call_value("torch._utils", "_rebuild_tensor_v2", {})), corrupt, "lacks"},
        {"a tensor of another type's class",
         one(call_value("torch._utils", "_rebuild_tensor_v3",
                        {two_floats, number_value(0), numbers, numbers, "N", "N", "N"})),
         corrupt, "has None for its type"},
        {"a conjugated tensor",
         one(call_value("torch._utils", "_rebuild_tensor_v2",
                        {two_floats, number_value(0), numbers, numbers, "N", "N", dict_value({key, "\x88"})})),
         unsupported, "conjugated"},
    };
    refuses(folder, rows);
}

} // namespace

int main() {
    const TemporaryFolder folder;
    refuses_code(folder);
    refuses_broken_pickles(folder);
    refuses_what_grows(folder);
    refuses_broken_tensors(folder);
    return finish();
}
