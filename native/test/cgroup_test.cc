// Limits of control groups, in file trees like those of containers, services and batch systems.
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "backend/cgroup.h"
#include "check.h"
#include "files.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

using Files = std::vector<std::pair<const char *, std::string>>; // path, contents

struct Row {
    const char * name;
    Files files;
    size_t memory = SIZE_MAX;
    double cores = INFINITY;
};

constexpr const char * cgroup = "proc/self/cgroup";
constexpr const char * mountinfo = "proc/self/mountinfo";

// Lines of mountinfo: another file system, and a hierarchy with its group and mount point.
std::string v2_mount(const std::string & group, const std::string & point) {
    return "22 27 0:21 / /proc rw,relatime - proc proc rw\n41 31 0:38 " + group + " " + point +
           " rw,relatime shared:5 master:1 - cgroup2 cgroup2 rw,nsdelegate\n";
}

std::string v1_mount(const std::string & group, const std::string & point, const std::string & controllers) {
    return "35 31 0:31 " + group + " " + point + " rw - cgroup cgroup rw," + controllers + "\n";
}

const std::string none = "9223372036854771712\n";

const Row rows[] = {
    {"nothing at all", {}},
    {"version 2 without limits",
     {{cgroup, "0::/\n"},
      {mountinfo, v2_mount("/", "/sys/fs/cgroup")},
      {"sys/fs/cgroup/memory.max", "max\n"},
      {"sys/fs/cgroup/memory.current", "5\n"},
      {"sys/fs/cgroup/cpu.max", "max 100000\n"}}},
    {"version 2, a container that sees its group as the root",
     {{cgroup, "0::/\n"},
      {mountinfo, v2_mount("/", "/sys/fs/cgroup")},
      {"sys/fs/cgroup/memory.max", "100\n"},
      {"sys/fs/cgroup/memory.current", "30\n"},
      {"sys/fs/cgroup/cpu.max", "150000 100000\n"}},
     70,
     1.5},
    {"version 2, without a list of mounts",
     {{"sys/fs/cgroup/memory.max", "100\n"}, {"sys/fs/cgroup/cpu.max", "50000 100000\n"}},
     100,
     0.5},
    {"version 2, a service below a slice with less",
     {{cgroup, "0::/app.slice/ndq.service\n"},
      {mountinfo, v2_mount("/", "/sys/fs/cgroup")},
      {"sys/fs/cgroup/app.slice/ndq.service/memory.max", "1000\n"},
      {"sys/fs/cgroup/app.slice/ndq.service/memory.current", "10\n"},
      {"sys/fs/cgroup/app.slice/ndq.service/cpu.max", "400000 100000\n"},
      {"sys/fs/cgroup/app.slice/memory.max", "500\n"},
      {"sys/fs/cgroup/app.slice/memory.current", "400\n"},
      {"sys/fs/cgroup/app.slice/cpu.max", "200000 100000\n"},
      {"sys/fs/cgroup/other.slice/memory.max", "1\n"},
      {"sys/fs/cgroup/other.slice/cpu.max", "1 100000\n"}},
     100,
     2},
    {"version 2 in addition to version 1, at an unusual mount point",
     {{cgroup, "4:memory:/\n0::/job\n"},
      {mountinfo, v2_mount("/", "/mnt/two\\040groups")},
      {"mnt/two groups/job/cpu.max", "300000 100000\n"},
      {"mnt/two groups/job/memory.max", "70\n"}},
     70,
     3},
    {"version 2, only the part of a container is shown",
     {{cgroup, "0::/docker/abc/worker\n"},
      {mountinfo, v2_mount("/docker/abc", "/sys/fs/cgroup")},
      {"sys/fs/cgroup/worker/memory.max", "60\n"},
      {"sys/fs/cgroup/cpu.max", "100000 100000\n"}},
     60,
     1},
    {"version 2, a process outside of what its container sees",
     {{cgroup, "0::/../other\n"},
      {mountinfo, v2_mount("/", "/sys/fs/cgroup")},
      {"sys/fs/cgroup/memory.max", "90\n"},
      {"sys/fs/cgroup/other/memory.max", "1\n"},
      {"sys/fs/other/memory.max", "1\n"}},
     90},
    {"memory.high below memory.max",
     {{"sys/fs/cgroup/memory.max", "100\n"},
      {"sys/fs/cgroup/memory.high", "80\n"},
      {"sys/fs/cgroup/memory.current", "30\n"}},
     50},
    {"more used than the limit", {{"sys/fs/cgroup/memory.max", "100\n"}, {"sys/fs/cgroup/memory.current", "130\n"}}, 0},
    {"pages of files can be dropped, shared memory cannot",
     {{"sys/fs/cgroup/memory.max", "100\n"},
      {"sys/fs/cgroup/memory.current", "100\n"},
      {"sys/fs/cgroup/memory.stat", "anon 20\nfile 80\ninactive_file 50\nactive_file 25\nshmem 5\n"}},
     75},
    {"numbers of different moments",
     {{"sys/fs/cgroup/memory.max", "100\n"},
      {"sys/fs/cgroup/memory.current", "10\n"},
      {"sys/fs/cgroup/memory.stat", "inactive_file 20\n"}},
     100},
    {"version 1 without limits",
     {{cgroup, "4:memory:/\n1:cpu:/\n0::/\n"},
      {mountinfo, v1_mount("/", "/sys/fs/cgroup/cpu", "cpu") + v1_mount("/", "/sys/fs/cgroup/memory", "memory")},
      {"sys/fs/cgroup/memory/memory.limit_in_bytes", none},
      {"sys/fs/cgroup/memory/memory.usage_in_bytes", "5\n"},
      {"sys/fs/cgroup/memory/memory.stat", "hierarchical_memory_limit " + none},
      {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}}},
    {"version 1, controllers together and a container that sees the groups of its host",
     {{cgroup, "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n"},
      {mountinfo, v1_mount("/docker/abc", "/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct") +
                      v1_mount("/docker/abc", "/sys/fs/cgroup/memory", "memory")},
      {"sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n"},
      {"sys/fs/cgroup/memory/memory.usage_in_bytes", "900\n"},
      {"sys/fs/cgroup/memory/memory.stat",
       "cache 1\ninactive_file 1\nhierarchical_memory_limit 1000\ntotal_inactive_file 300\ntotal_active_file 200\n"},
      {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "250000\n"},
      {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"}},
     600,
     2.5},
    {"version 1, groups within groups",
     {{cgroup, "5:cpu:/job/step\n4:memory:/job/step\n"},
      {mountinfo, v1_mount("/", "/cg/cpu", "cpu") + v1_mount("/", "/cg/memory", "memory")},
      {"cg/memory/job/step/memory.limit_in_bytes", none},
      {"cg/memory/job/memory.limit_in_bytes", "500\n"},
      {"cg/memory/job/memory.usage_in_bytes", "100\n"},
      {"cg/cpu/job/step/cpu.cfs_quota_us", "-1\n"},
      {"cg/cpu/job/step/cpu.cfs_period_us", "100000\n"},
      {"cg/cpu/job/cpu.cfs_quota_us", "50000\n"},
      {"cg/cpu/job/cpu.cfs_period_us", "50000\n"}},
     400,
     1},
    {"version 1, a limit around what is shown",
     {{"sys/fs/cgroup/memory/memory.limit_in_bytes", none},
      {"sys/fs/cgroup/memory/memory.usage_in_bytes", "100\n"},
      {"sys/fs/cgroup/memory/memory.stat", "hierarchical_memory_limit 300\n"}},
     200},
    // Contents that no kernel writes are ignored and count as no limit.
    {"empty files",
     {{cgroup, ""},
      {mountinfo, ""},
      {"sys/fs/cgroup/memory.max", ""},
      {"sys/fs/cgroup/memory.current", ""},
      {"sys/fs/cgroup/cpu.max", ""}}},
    {"words for numbers",
     {{"sys/fs/cgroup/memory.max", "plenty\n"},
      {"sys/fs/cgroup/cpu.max", "nan 100000\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "1e5\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}}},
    {"a quota and a period of nothing",
     {{"sys/fs/cgroup/cpu.max", "100000 0\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "0\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}}},
    {"negative and endless numbers",
     {{"sys/fs/cgroup/memory.max", std::string(100000, '9')}, {"sys/fs/cgroup/cpu.max", "-100000 100000"}}},
    {"half a quota", {{"sys/fs/cgroup/cpu.max", "100000"}}},
    {"random bytes",
     {{cgroup, std::string("\0\xff\n:::\n0::", 9) + std::string(5000, '/') + "\n"},
      {mountinfo, std::string("- cgroup2\n- - - - - - - cgroup2 x\n1 2 3\\ \\9 \\ - cgroup2 c cpu\n\0\n", 60)},
      {"sys/fs/cgroup/memory.stat", std::string("\0\xff inactive_file x", 18)},
      {"sys/fs/cgroup/memory.max", "10"}},
     10},
    {"a path that leads out of the tree",
     {{cgroup, "0::/a/../../../outside\n"},
      {mountinfo, v2_mount("/", "/sys/fs/cgroup")},
      {"sys/fs/cgroup/memory.max", "40"}},
     40},
};

} // namespace

int main() {
    for (const Row & row : rows) {
        const TemporaryFolder folder;
        for (const auto & file : row.files) folder.write(file.first, file.second);
        const std::string root = folder.path("");
        check_equal(cgroup_memory(root), row.memory,
                    std::string(row.name) + ": " + std::to_string(cgroup_memory(root)) + " bytes");
        check_equal(cgroup_cores(root), row.cores,
                    std::string(row.name) + ": " + std::to_string(cgroup_cores(root)) + " cores");
    }
    const TemporaryFolder folder;
    folder.write("sys/fs/cgroup/memory.max/a", "a folder where a file is expected");
    check_equal(cgroup_memory(folder.path("")), SIZE_MAX, "a folder where a file is expected");
    return finish();
}
