// See mapping_guard.h. The handler may run at any instruction of any thread: it takes no lock and allocates nothing.
#include "io/mapping_guard.h"

#ifndef _WIN32
#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>
#endif

namespace diffusion {

#ifdef _WIN32

MappingGuard::MappingGuard(const void *, size_t) {}
MappingGuard::~MappingGuard() = default;

bool MappingGuard::damaged() const {
    return false;
}

#else

namespace {

// A mapping. Entries are reused but never freed, because the handler may be looking at one.
struct Entry {
    std::atomic<bool> taken = true;
    std::atomic<uint32_t> version = 0; // odd while begin and end change
    std::atomic<uintptr_t> begin = 0, end = 0;
    std::atomic<bool> damaged = false;
    Entry * next = nullptr;
};
static_assert(std::atomic<uintptr_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

std::atomic<Entry *> entries = nullptr; // newest first
struct sigaction previous;              // set before this file's handler takes effect
uintptr_t page_size;

Entry * take_entry() {
    for (Entry * entry = entries.load(); entry; entry = entry->next) {
        bool taken = false;
        if (entry->taken.compare_exchange_strong(taken, true)) return entry;
    }
    auto * entry = new Entry;
    entry->next = entries.load();
    while (!entries.compare_exchange_weak(entry->next, entry)) {
    }
    return entry;
}

void set_range(Entry & entry, uintptr_t begin, uintptr_t end) {
    entry.version++;
    entry.begin = begin;
    entry.end = end;
    entry.version++;
}

// One that is changing is not the mapping that the faulting thread reads.
Entry * find_entry(uintptr_t address, uintptr_t & end) {
    for (Entry * entry = entries.load(); entry; entry = entry->next) {
        const uint32_t version = entry->version.load();
        const uintptr_t begin = entry->begin.load();
        end = entry->end.load();
        if (version % 2 == 0 && version == entry->version.load() && address >= begin && address < end) return entry;
    }
    return nullptr;
}

// Sent by kill() rather than caused by a memory access.
bool was_sent(const siginfo_t & info) {
#ifdef __APPLE__
    return info.si_code == SI_USER || info.si_code == SI_QUEUE;
#else
    return info.si_code <= 0;
#endif
}

// Everything from that page on: after a truncation, the rest is gone as well.
bool fill_with_zeros(uintptr_t address) {
    uintptr_t end = 0;
    Entry * const entry = find_entry(address, end);
    if (!entry) return false;
    auto * page = reinterpret_cast<void *>(address / page_size * page_size);
    const size_t bytes = end - reinterpret_cast<uintptr_t>(page);
    // Before zeros can be read, so that no reader misses it.
    entry->damaged = true;
    return mmap(page, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
}

void hand_on(int signal, siginfo_t * info, void * context) {
    if (previous.sa_flags & SA_SIGINFO) return previous.sa_sigaction(signal, info, context);
    if (previous.sa_handler == SIG_IGN && was_sent(*info)) return;
    if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) return previous.sa_handler(signal);
    // The system's default, which ends the process: a fault recurs after the return, a sent signal must be sent again.
    struct sigaction standard = {};
    standard.sa_handler = SIG_DFL;
    sigaction(signal, &standard, nullptr);
    if (was_sent(*info)) raise(signal);
}

void handle(int signal, siginfo_t * info, void * context) {
    const int error = errno;
    const bool ours = !was_sent(*info) && fill_with_zeros(reinterpret_cast<uintptr_t>(info->si_addr));
    if (!ours) hand_on(signal, info, context);
    errno = error;
}

void set_handler() {
    page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    // When a Node.js thread ends, addons that only it has loaded are unloaded; the handler must stay where the system
    // calls it.
    Dl_info self;
    if (dladdr(reinterpret_cast<void *>(&set_handler), &self)) {
        dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    }
    struct sigaction ours = {};
    ours.sa_sigaction = handle;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigemptyset(&ours.sa_mask);
    sigaction(SIGBUS, nullptr, &previous);
    sigaction(SIGBUS, &ours, nullptr);
}

} // namespace

MappingGuard::MappingGuard(const void * data, size_t bytes) {
    static std::once_flag once;
    std::call_once(once, set_handler);
    const auto begin = reinterpret_cast<uintptr_t>(data);
    Entry * const entry = take_entry();
    entry->damaged = false;
    set_range(*entry, begin, (begin + bytes + page_size - 1) / page_size * page_size);
    entry_ = entry;
}

MappingGuard::~MappingGuard() {
    Entry & entry = *static_cast<Entry *>(entry_);
    set_range(entry, 0, 0);
    entry.taken = false;
}

bool MappingGuard::damaged() const {
    return static_cast<const Entry *>(entry_)->damaged;
}

#endif

} // namespace diffusion
