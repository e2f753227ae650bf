// What is left of a container's memory.
#include "backend/memory.h"

#include <cstdint>

#include "check.h"
#include "files.h"

using namespace diffusion;
using namespace diffusion::test;

int main() {
    const TemporaryFolder folder;
    const auto left = [&](const std::string & name, const char * limit, const char * current, const char * stat) {
        folder.write(name + "/memory.max", limit);
        folder.write(name + "/memory.current", current);
        folder.write(name + "/memory.stat", stat);
        return cgroup_memory(folder.path(name));
    };
    check_equal(cgroup_memory(folder.path("absent")), SIZE_MAX, "no cgroup, no limit");
    check_equal(left("max", "max\n", "5\n", ""), SIZE_MAX, "a cgroup without a limit");
    check_equal(left("plain", "100\n", "30\n", ""), size_t{70}, "the limit less what is used");
    check_equal(left("full", "100\n", "130\n", ""), size_t{0}, "more used than the limit");
    check_equal(left("cache", "100\n", "100\n", "anon 20\nfile 80\ninactive_file 50\nactive_file 25\nshmem 5\n"),
                size_t{75}, "pages of files can be dropped, shared memory cannot");
    check_equal(left("raced", "100\n", "10\n", "inactive_file 20\n"), size_t{100}, "numbers of different moments");
    return finish();
}
