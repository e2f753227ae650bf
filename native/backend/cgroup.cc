// See cgroup.h. Formats: cgroups(7), proc_pid_mountinfo(5), and the kernel's documentation of both versions.
#include "backend/cgroup.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iomanip>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

namespace diffusion {

namespace {

// Version 1 reports 2^63 minus a page if there is no limit.
constexpr size_t no_limit = size_t{1} << 62;

// A mounted hierarchy of groups: the group `root` and all below it are at `point` in the file system.
struct Mount {
    std::string root, point;
};

bool has_word(std::string_view list, std::string_view word) {
    const std::string all = "," + std::string(list) + ",";
    return all.find("," + std::string(word) + ",") != std::string::npos;
}

// Replaces octal escapes such as \040 for a space.
std::string unescaped(const std::string & text) {
    std::string result;
    for (size_t i = 0; i < text.size(); i++) {
        const bool escape = text[i] == '\\' && i + 3 < text.size();
        result += escape ? static_cast<char>(std::strtol(text.substr(i + 1, 3).c_str(), nullptr, 8)) : text[i];
        if (escape) i += 3;
    }
    return result;
}

// This process's group in the hierarchy of a controller, or in that of version 2 if `controller` is empty.
std::string own_group(const std::string & root, std::string_view controller) {
    std::ifstream file(root + "/proc/self/cgroup"); // "4:cpu,cpuacct:/user.slice", "0::/user.slice"
    for (std::string line; std::getline(file, line);) {
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string_view controllers = std::string_view(line).substr(first + 1, second - first - 1);
        const bool found = controller.empty() ? controllers.empty() : has_word(controllers, controller);
        if (found) return line.substr(second + 1);
    }
    return "/";
}

std::vector<Mount> mounts(const std::string & root, std::string_view controller) {
    // The usual place comes first: mounts may be missing from the list, or be hidden by others.
    std::vector<Mount> found = {{"/", "/sys/fs/cgroup"}};
    if (!controller.empty()) found.front().point += "/" + std::string(controller);
    std::ifstream file(root + "/proc/self/mountinfo");
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string id, parent, device, group, point, word, type, source, options;
        words >> id >> parent >> device >> group >> point;
        while (words >> word && word != "-") {
        }
        words >> type >> source >> options;
        const bool wanted = controller.empty() ? type == "cgroup2" : type == "cgroup" && has_word(options, controller);
        if (wanted) found.push_back({unescaped(group), unescaped(point)});
    }
    return found;
}

// The folders of this process's group and of those above it, as far as they are visible.
std::vector<std::string> group_folders(const std::string & root, std::string_view controller) {
    namespace fs = std::filesystem;
    const fs::path own = own_group(root, controller);
    std::vector<std::string> folders;
    for (const Mount & mount : mounts(root, controller)) {
        const fs::path below = own.lexically_relative(mount.root);
        // The group is outside the mounted part, as in a container that sees its own group as the root.
        const bool outside = below.empty() || below == "." || *below.begin() == "..";
        for (fs::path group = outside ? fs::path() : below;; group = group.parent_path()) {
            folders.push_back(root + mount.point + "/" + group.string());
            if (group.empty()) break;
        }
    }
    return folders;
}

// The first `most` words of a file.
std::vector<std::string> words_of(const std::string & path, size_t most) {
    std::ifstream file(path);
    std::vector<std::string> words;
    constexpr int longest = 64; // longer than any number
    for (std::string word; words.size() < most && file >> std::setw(longest) >> word;) words.push_back(word);
    return words;
}

// Nothing for "max", "-1" and anything else that is not a number.
std::optional<size_t> number_in(const std::string & text) {
    size_t number = 0;
    const char * const end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, number);
    if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
    return number;
}

std::optional<size_t> number_of(const std::string & path) {
    const std::vector<std::string> words = words_of(path, 1);
    return words.empty() ? std::nullopt : number_in(words.front());
}

// The sum of the selected entries of a file with names and numbers.
size_t sum_in(const std::string & path, const std::function<bool(const std::string & name)> & wanted) {
    std::ifstream file(path);
    std::string name;
    size_t sum = 0;
    for (size_t value = 0; file >> name >> value;) sum += wanted(name) ? value : 0;
    return sum;
}

size_t left_of(size_t limit, const std::string & usage_file, size_t cached) {
    if (limit >= no_limit) return SIZE_MAX;
    const size_t current = number_of(usage_file).value_or(0);
    const size_t used = current - std::min(cached, current);
    return limit - std::min(used, limit);
}

size_t left_in_v2(const std::string & folder) {
    // Above memory.high the kernel does not refuse memory but throttles the process almost to a standstill.
    const size_t limit = std::min(number_of(folder + "/memory.max").value_or(SIZE_MAX),
                                  number_of(folder + "/memory.high").value_or(SIZE_MAX));
    const size_t cached = sum_in(folder + "/memory.stat", [](const std::string & name) {
        return name == "active_file" || name == "inactive_file";
    });
    return left_of(limit, folder + "/memory.current", cached);
}

size_t left_in_v1(const std::string & folder) {
    const size_t own = number_of(folder + "/memory.limit_in_bytes").value_or(SIZE_MAX);
    // Includes the limits of groups above that are not visible.
    const size_t above =
        sum_in(folder + "/memory.stat", [](const std::string & name) { return name == "hierarchical_memory_limit"; });
    const size_t cached = sum_in(folder + "/memory.stat", [](const std::string & name) {
        return name == "total_active_file" || name == "total_inactive_file";
    });
    return left_of(above > 0 ? std::min(own, above) : own, folder + "/memory.usage_in_bytes", cached);
}

// From the time allowed per period, and the period, in the same unit.
double cores_of(std::optional<size_t> quota, std::optional<size_t> period) {
    if (!quota || !period || *quota == 0 || *period == 0) return INFINITY;
    return static_cast<double>(*quota) / static_cast<double>(*period);
}

} // namespace

size_t cgroup_memory(const std::string & root) {
    size_t least = SIZE_MAX;
    for (const std::string & folder : group_folders(root, "")) least = std::min(least, left_in_v2(folder));
    for (const std::string & folder : group_folders(root, "memory")) least = std::min(least, left_in_v1(folder));
    return least;
}

double cgroup_cores(const std::string & root) {
    double least = INFINITY;
    for (const std::string & folder : group_folders(root, "")) {
        const std::vector<std::string> words = words_of(folder + "/cpu.max", 2); // "max 100000", "150000 100000"
        if (words.size() == 2) least = std::min(least, cores_of(number_in(words[0]), number_in(words[1])));
    }
    for (const std::string & folder : group_folders(root, "cpu")) {
        least = std::min(least,
                         cores_of(number_of(folder + "/cpu.cfs_quota_us"), number_of(folder + "/cpu.cfs_period_us")));
    }
    return least;
}

} // namespace diffusion
