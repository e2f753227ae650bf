// Recognition of model files, and of files that people mistake for them.
#include "io/format.h"

#include <algorithm>
#include <string_view>

#include "io/bytes.h"
#include "io/file_error.h"

namespace diffusion {

namespace {

struct Foreign {
    std::string_view magic;
    const char * what;
};

constexpr const char * web_page =
    "is a web page, not a file of weights: the download got a login or error page; download the file again";
constexpr const char * image = "is an image, not a file of weights";
constexpr const char * old_ggml =
    "is a GGML file from before GGUF, which is not supported; convert it to GGUF or safetensors";

// First bytes of files that are not models.
constexpr Foreign foreign_files[] = {
    {"version https://git-lfs", "is a Git LFS pointer, not the file itself; run `git lfs pull` in its repository"},
    {"<!", web_page},
    {"<html", web_page},
    {"<HTML", web_page},
    {"<?xml",
     "is an XML document, not a file of weights: the download may have got an error message; download it again"},
    {"\x89PNG", image},
    {"\xFF\xD8\xFF", image},
    {"RIFF", image},
    {"GIF8", image},
    {"\x89HDF", "is an HDF5 file, such as a Keras model, which is not supported; convert it to safetensors"},
    {"\x93NUMPY", "is a NumPy array, not a model; convert it to safetensors"},
    {{"\x1F\x8B", 2}, "is compressed with gzip; unpack it first"},
    {"\x28\xB5\x2F\xFD", "is compressed with zstd; unpack it first"},
    {"7z\xBC\xAF", "is a 7z archive; unpack it first"},
    {"tjgg", old_ggml},
    {"algg", old_ggml},
    {"lmgg", old_ggml},
    {"fmgg", old_ggml},
};

std::string first_bytes(std::string_view text) {
    constexpr char digits[] = "0123456789abcdef";
    std::string result;
    for (const char c : text.substr(0, 8)) {
        const auto byte = static_cast<uint8_t>(c);
        result += (result.empty() ? "" : " ") + std::string{digits[byte >> 4], digits[byte & 15]};
    }
    return result;
}

// ONNX has no magic. Its protobuf begins with the field ir_version (1), and producer_name (2) or the graph (7) follows.
bool looks_like_onnx(std::string_view text) {
    return text.size() > 2 && text[0] == '\x08' && text[1] > 0 && text[1] < 32 &&
           (text[2] == '\x12' || text[2] == '\x3A');
}

// The length at the start of a safetensors file is never eight printable characters, which JSON text always is.
bool is_printable(std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return (c >= ' ' && c <= '~') || (c >= '\t' && c <= '\r'); });
}

// Pickles begin with the opcode for their protocol.
bool is_pickle(std::string_view text) {
    return text.size() > 1 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5;
}

bool is_json_object(std::string_view text) {
    const size_t start = text.find_first_not_of(" \t\r\n");
    return start != std::string_view::npos && text[start] == '{';
}

} // namespace

FileFormat recognise_format(const MappedFile & file) {
    const std::string & path = file.path();
    const std::string_view text(reinterpret_cast<const char *>(file.data()), std::min<size_t>(file.size(), 4096));
    if (text.starts_with("GGUF")) return FileFormat::gguf;
    if (text.size() > 8 && text[8] == '{' && !is_printable(text.substr(0, 8))) return FileFormat::safetensors;
    if (is_json_object(text)) return FileFormat::shard_index;
    if (text.starts_with("PK\x03\x04")) return FileFormat::torch_zip;
    if (is_pickle(text)) return FileFormat::torch_pickles;
    for (const Foreign & foreign : foreign_files) {
        if (text.starts_with(foreign.magic)) throw unsupported_file(path, foreign.what);
    }
    if (looks_like_onnx(text))
        throw unsupported_file(path, "seems to be an ONNX model, which is not supported; use safetensors");
    if (text.find_first_not_of('\0') == std::string_view::npos) {
        throw corrupt_file(path, "begins with nothing but zeros; the download may be incomplete, download it again");
    }
    if (text.size() <= 8) {
        throw corrupt_file(path, "has only " + std::to_string(file.size()) +
                                     " bytes, too few for a model; download it again");
    }
    throw unsupported_file(path, "is neither a safetensors, a GGUF nor a PyTorch file (it begins with the bytes " +
                                     first_bytes(text) +
                                     "); pass a .safetensors, .gguf or .ckpt file, or the folder of a diffusers model");
}

} // namespace diffusion
