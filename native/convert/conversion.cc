// See conversion.h.
#include "convert/conversion.h"

#include <filesystem>

#include "convert/contents.h"
#include "convert/headers.h"
#include "convert/output_file.h"
#include "family/model.h"
#include "io/file_error.h"
#include "io/mapped_file.h"
#include "weights/tensor_converter.h"

namespace diffusion {

namespace {

namespace fs = std::filesystem;

// Writing would destroy the source before it is read.
void refuse_source_as_output(const std::vector<StoredFile> & files, const std::string & output) {
    for (const StoredFile & file : files) {
        std::error_code not_there;
        if (!fs::equivalent(native_path(file.path), native_path(output), not_there)) continue;
        throw Error(ErrorCode::write, "Expected an output file other than the source files but " + quote(output) +
                                          " is " + (file.path == output ? "one of them" : quote(file.path)) +
                                          ". Pass another name");
    }
}

constexpr uint64_t megabyte = 1 << 20;

void require_room(uint64_t bytes, const ConversionOptions & options) {
    std::error_code unknown;
    const fs::space_info room = fs::space(native_path(options.temporary).parent_path(), unknown);
    if (unknown || room.available >= bytes) return;
    const std::string needed = std::to_string((bytes + megabyte - 1) / megabyte) + " MB";
    const std::string left = std::to_string(room.available / megabyte) + " MB";
    throw Error(ErrorCode::write, "Cannot write " + quote(options.output) + ": it needs " + needed +
                                      ", and the disk has " + left + " left");
}

// The architecture for GGUF metadata; empty if the source is not a known model.
std::string architecture_of(const Source & source, const Cancellation & cancellation) {
    return bind_model(source, {}, cancellation)->family->name;
}

class Conversion {
public:
    Conversion(const Source & source, const ConversionOptions & options, const Cancellation & cancellation)
        : options_(options), contents_(source, cancellation), gguf_(options.format == TensorFormat::gguf) {
        refuse_source_as_output(contents_.files(), options.output);
        const TypeChoice choose(options.format, contents_.kind(), options.types, options.keep_convolutions);
        for (const NamedTensor & tensor : contents_.tensors()) planned_.push_back({&tensor, choose(tensor)});
        Metadata metadata = options.metadata;
        metadata.insert(contents_.metadata().begin(), contents_.metadata().end());
        header_ = gguf_ ? gguf_header(planned_, metadata, architecture_of(source, cancellation))
                        : safetensors_header(planned_, metadata);
    }

    ConversionReport write(const ConversionProgress & progress, const Cancellation & cancellation) {
        require_room(file_bytes(), options_);
        OutputFile file(options_.temporary, options_.output);
        file.write(header_.data(), header_.size());
        TensorConverter converter(options_.threads);
        int64_t total = 0, done = 0;
        for (const PlannedTensor & planned : planned_) total += static_cast<int64_t>(planned.tensor->stored->n_bytes);
        ConversionReport report;
        for (const PlannedTensor & planned : planned_) {
            const auto write = [&](const uint8_t * bytes, size_t n_bytes, size_t read) {
                file.write(bytes, n_bytes);
                progress(done += static_cast<int64_t>(read), total);
            };
            const NamedTensor & tensor = *planned.tensor;
            converter.convert(*tensor.stored, tensor.name, *planned.storage.type, write, cancellation);
            if (gguf_) file.pad(gguf_alignment);
            report.tensors++;
            report.types[std::string(planned.storage.type->name)]++;
        }
        for (const StoredFile & source : contents_.files()) source.mapping->check_unchanged();
        report.n_bytes = static_cast<int64_t>(file.size());
        file.close();
        return report;
    }

private:
    uint64_t file_bytes() const {
        uint64_t bytes = header_.size();
        for (const PlannedTensor & planned : planned_) {
            bytes += gguf_ ? GGML_PAD(planned.bytes(), gguf_alignment) : planned.bytes();
        }
        return bytes;
    }

    const ConversionOptions & options_;
    Contents contents_;
    bool gguf_;
    std::vector<PlannedTensor> planned_;
    std::string header_;
};

} // namespace

ConversionReport convert(const Source & source, const ConversionOptions & options, const ConversionProgress & progress,
                         const Cancellation & cancellation) {
    return Conversion(source, options, cancellation).write(progress, cancellation);
}

} // namespace diffusion
