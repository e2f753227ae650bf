// Evaluates graphs on a device. A graph is built and its memory planned once per set of input shapes, then reused.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "graph/device.h"
#include "graph/layers.h"
#include "graph/pace.h"
#include "graph/profile.h"

namespace diffusion {

struct GraphInput {
    ggml_type type = GGML_TYPE_F32;
    std::array<int64_t, 4> ne = {1, 1, 1, 1};
    const void * data = nullptr;
};

class Runner {
public:
    // Returns the outputs.
    using Build = std::function<std::vector<Tensor>(Layers &, std::span<const Tensor> inputs)>;

    // Evaluations are added to `profile`, if not nullptr.
    explicit Runner(Device & device, Profile * profile = nullptr);
    ~Runner();

    // How many of the graph's milestones are reached; called on the running thread.
    using Progress = std::function<void(int64_t done, int64_t total)>;

    // The outputs of the graph that `build` makes, as f32. The same name, variant and input shapes must always build
    // the same graph; the name is also used in error messages. Throws Error (cancelled, out_of_memory, device,
    // model_unsupported) and std::bad_alloc.
    std::vector<std::vector<float>> run(const std::string & name, const std::string & variant,
                                        const std::vector<GraphInput> & inputs, const Build & build,
                                        const Cancellation & cancellation, const Progress & progress = nullptr);

    // Bytes of compute memory that such a run takes, without allocating them and without streamed weights; the inputs
    // need no data. Throws as run() does.
    size_t measure(const std::string & name, const std::string & variant, const std::vector<GraphInput> & inputs,
                   const Build & build);

    // Bytes of compute memory and for streamed weights that the graphs with this name hold.
    size_t held_bytes(const std::string & name) const;

    // Frees the graphs with this name, which is necessary when weights have changed.
    void forget(const std::string & name) noexcept;
    void forget_all() noexcept;

private:
    struct Plan;
    class Evaluation;

    Plan & plan(const std::string & name, const std::string & variant, const std::vector<GraphInput> & inputs,
                const Build & build);
    std::unique_ptr<Plan> make_plan(const std::string & name, const std::vector<GraphInput> & inputs,
                                    const Build & build);
    // A plan without memory. `capacity`: the graph's; raised until the graph fits.
    std::unique_ptr<Plan> draft_plan(const std::string & name, const std::vector<GraphInput> & inputs,
                                     const Build & build, size_t & capacity);
    std::unique_ptr<Plan> draft_plan_within(size_t capacity, const std::string & name,
                                            const std::vector<GraphInput> & inputs, const Build & build);
    // Bytes of compute memory on each backend.
    std::vector<size_t> reserve(Plan & draft) const;
    bool reads_streamed(const Graph & graph) const;
    void evict(size_t needed);

    Device & device_;
    Profile * profile_;
    Pace pace_;                              // of a device other than the CPU
    std::list<std::unique_ptr<Plan>> plans_; // most recently used first
};

} // namespace diffusion
