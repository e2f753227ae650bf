// The contents of a converted file: the source's tensors that are of use, and its metadata.
#pragma once

#include <string>
#include <vector>

#include "cancellation.h"
#include "io/tensor_table.h"
#include "names/names.h"
#include "source/carried_configuration.h"
#include "source/file_kind.h"
#include "source/source.h"
#include "weights/type_choice.h"

namespace diffusion {

// Owns the stored tensors that its tensors point to.
class Contents {
public:
    // A single file keeps its tensor names; parts and folders get canonical names. Throws Error.
    Contents(const Source & source, const Cancellation & cancellation);
    Contents(const Contents &) = delete;
    Contents & operator=(const Contents &) = delete;

    const std::vector<NamedTensor> & tensors() const { return tensors_; }
    const std::vector<StoredFile> & files() const { return table_.files(); }
    const Metadata & metadata() const { return metadata_; }
    FileKind kind() const { return kind_; }

private:
    void take_file(NamedTensors file);
    void take_parts(ModelTensors model);
    void add(const StoredTensor & stored, std::string name, std::string canonical, ModelPart component);
    void collect_metadata();

    TensorTable table_;
    std::vector<StoredTensor> marks_;
    std::vector<NamedTensor> tensors_;
    Metadata metadata_;
    FileKind kind_ = FileKind::unknown;
};

} // namespace diffusion
