// See device.h.
#include "graph/device.h"

#include "error.h"

namespace diffusion {

namespace {

// A node with this many operations takes less than a tenth of a second on one slow CPU core.
constexpr double cpu_node_work = 2e9;

// Other devices are busy with slices of this size, and it is small next to the tensors between the layers of images that
// need slices.
constexpr double device_scratch = size_t{256} << 20;

// Adds this package's kernels that run on this CPU, for each operand type.
void add_kernels(std::vector<std::string> & names) {
    bool any = false;
    for (const ggml_type operand : {GGML_TYPE_BF16, GGML_TYPE_F32}) {
        const Kernels * kernels = find_kernels(operand);
        if (kernels) names.push_back(std::string("kernels ") + ggml_type_name(operand) + "=" + kernels->name);
        any = any || kernels;
    }
    if (!any) names.emplace_back("kernels=ggml");
}

} // namespace

std::vector<DeviceInfo> devices() {
    std::vector<DeviceInfo> result = backend_devices();
    for (DeviceInfo & info : result) {
        if (info.type == "cpu") add_kernels(info.features);
    }
    return result;
}

Device::Device(const std::string & name, int threads, Precision precision) : Backends(name, threads) {
    const auto fail = [&](const std::string & what) {
        throw Error(ErrorCode::device, "Expected a precision that the device '" + name + "' supports, but " + what +
                                           ". Omit the option `precision`.");
    };
    if (!is_cpu()) {
        const ggml_backend_dev_t device = ggml_backend_get_device(backend());
        const std::string kind = ggml_backend_reg_name(ggml_backend_dev_backend_reg(device));
        const bool is_vulkan = kind == "Vulkan";
        if (precision == Precision::bf16) fail("only the CPU multiplies in bf16");
        if (precision == Precision::f32 && !is_vulkan) fail("of all GPUs only those of Vulkan multiply in f32");
        arithmetic_.device = backend();
        arithmetic_.exact = precision == Precision::f32;
        arithmetic_.convolves = is_vulkan;
        streamed_weights_ = std::make_unique<StreamedWeights>(backend());
        return;
    }
    const Kernels * kernels = nullptr;
    if (precision != Precision::f32) kernels = find_kernels(GGML_TYPE_BF16);
    if (!kernels && precision == Precision::bf16) fail("this processor has no bf16 matrix products (AVX-512 BF16)");
    if (!kernels) kernels = find_kernels(GGML_TYPE_F32);
    if (kernels) cpu_ = std::make_unique<CpuContext>(*kernels, threads);
}

std::unique_ptr<Graph> Device::make_graph(size_t capacity) {
    Graph::Limits limits;
    if (is_cpu()) {
        limits.work = cpu_node_work;
    } else {
        limits.scratch = device_scratch;
        limits.custom_operations = false;
    }
    return std::make_unique<Graph>(limits, capacity);
}

std::unique_ptr<Layers> Device::make_layers(Graph & graph) {
    if (cpu_) return make_cpu_layers(graph, *cpu_);
    return make_ggml_layers(graph, low_rank_products_, arithmetic_);
}

} // namespace diffusion
