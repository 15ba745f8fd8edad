#include "transform/worker/sandbox.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <memory>

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace tidepool::transform {

namespace {

#ifdef TIDEPOOL_SANITIZED
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// Each can be a memory file, which the limit of memory does not know: the standard ones, the
// socket, what tells its own memory, a source and a result, and one more.
constexpr rlim_t kDescriptors = 8;

using SystemCallFilter = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

// What libvips, its codecs, glib and glibc do while they decode and encode.
constexpr std::array kAllowed{
    // memory
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
    // descriptors that it has
    SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(pwrite64),
    SCMP_SYS(writev), SCMP_SYS(lseek), SCMP_SYS(fstat), SCMP_SYS(close), SCMP_SYS(ftruncate),
    SCMP_SYS(memfd_create), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg),
    // threads, signals and time
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(set_tid_address),
    SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(gettid), SCMP_SYS(getpid),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(getrandom), SCMP_SYS(getrusage),
    SCMP_SYS(sysinfo), SCMP_SYS(exit), SCMP_SYS(exit_group)};

// What no library has a reason to try.
constexpr std::array kDeadly{SCMP_SYS(execve),
                             SCMP_SYS(execveat),
                             SCMP_SYS(fork),
                             SCMP_SYS(vfork),
                             SCMP_SYS(socket),
                             SCMP_SYS(connect),
                             SCMP_SYS(bind),
                             SCMP_SYS(listen),
                             SCMP_SYS(ptrace),
                             SCMP_SYS(unshare),
                             SCMP_SYS(setns),
                             SCMP_SYS(mount),
                             SCMP_SYS(bpf),
                             SCMP_SYS(keyctl),
                             SCMP_SYS(init_module),
                             SCMP_SYS(process_vm_readv),
                             SCMP_SYS(userfaultfd),
                             SCMP_SYS(io_uring_setup),
                             SCMP_SYS(perf_event_open),
                             SCMP_SYS(process_vm_writev)};

// What is forbidden where the list is one of forbidden calls.
constexpr std::array kForbidden{SCMP_SYS(open),     SCMP_SYS(openat),    SCMP_SYS(openat2),
                                SCMP_SYS(creat),    SCMP_SYS(unlink),    SCMP_SYS(rename),
                                SCMP_SYS(renameat), SCMP_SYS(socketpair)};

Result<void> limit(__rlimit_resource resource, const char* name, rlim_t value) {
    const rlimit both{value, value};
    if (setrlimit(resource, &both) != 0) return fail_errno(errno, fmt::format("limit {}", name));
    return {};
}

// Bytes that are mapped now: the first number of /proc/self/statm, in pages.
Result<std::uint64_t> mapped_bytes() {
    const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/proc/self/statm", "re"),
                                                     std::fclose);
    unsigned long pages = 0;
    if (!file || std::fscanf(file.get(), "%lu", &pages) != 1)
        return fail_errno(errno, "read /proc/self/statm");
    return pages * 4096ULL;
}

Result<void> limit_resources(const WorkerLimits& limits) {
    const auto mapped = mapped_bytes();
    if (!mapped) return std::unexpected(mapped.error());
    if (!kSanitized) {
        // Shadow memory is as large as the address space.
        if (auto done = limit(RLIMIT_AS, "memory", *mapped + limits.memory_bytes); !done)
            return done;
    }
    if (auto done = limit(RLIMIT_CORE, "core dumps", 0); !done) return done;
    if (auto done = limit(RLIMIT_NOFILE, "descriptors", kDescriptors); !done) return done;
    return limit(RLIMIT_FSIZE, "files", limits.file_bytes);
}

// Where an argument of the call is this, of the bits of `mask`.
int allow_where(scmp_filter_ctx filter, int call, unsigned argument, std::uint64_t value,
                std::uint64_t mask = ~0ULL) {
    const scmp_arg_cmp is_it{argument, SCMP_CMP_MASKED_EQ, mask, value};
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &is_it);
}

int add_rules(scmp_filter_ctx filter) {
    int failed = 0;
    for (const int call : kDeadly)
        failed |= seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, call, 0);
    if (kSanitized) {
        for (const int call : kForbidden)
            failed |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
        return failed;
    }
    for (const int call : kAllowed)
        failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
    // Memory that holds no program.
    for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)})
        failed |= allow_where(filter, call, 2, 0, PROT_EXEC);
    // Threads, not processes. What clone3 is to make stands in memory where no filter sees it; told
    // that there is none, glibc uses clone.
    failed |= allow_where(filter, SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD);
    failed |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    // fstat of a descriptor, as glibc makes it. The path stands in memory where no filter sees it,
    // so whoever takes a worker over can learn that a file is there, and its size, but nothing of
    // it.
    failed |= allow_where(filter, SCMP_SYS(newfstatat), 3, AT_EMPTY_PATH);
    failed |= allow_where(filter, SCMP_SYS(fcntl), 1, F_ADD_SEALS);
    failed |= allow_where(filter, SCMP_SYS(prctl), 0, PR_SET_NAME);
    // Of itself alone, by number 0.
    failed |= allow_where(filter, SCMP_SYS(prlimit64), 0, 0);
    // abort(), of a thread of its own. But SIGKILL, which it has no use for, is to say that
    // somebody else ended it.
    const std::array abortion{scmp_arg_cmp{0, SCMP_CMP_EQ, static_cast<std::uint64_t>(getpid()), 0},
                              scmp_arg_cmp{2, SCMP_CMP_NE, SIGKILL, 0}};
    failed |= seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), abortion.size(),
                                     abortion.data());
    return failed;
}

Result<void> load_filter() {
    const std::uint32_t otherwise = kSanitized ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM);
    const SystemCallFilter filter(seccomp_init(otherwise), seccomp_release);
    if (!filter) return fail(ErrorKind::misconfigured, "make a seccomp filter");
    // For the threads that libraries have started, too.
    int failed = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
    failed |= add_rules(filter.get());
    if (failed != 0) return fail(ErrorKind::misconfigured, "build the seccomp filter");
    if (const int error = seccomp_load(filter.get()); error != 0)
        return fail_errno(-error, "load the seccomp filter");
    return {};
}

}  // namespace

Result<void> enter_sandbox(const WorkerLimits& limits) {
    if (auto limited = limit_resources(limits); !limited) return limited;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail_errno(errno, "give up new privileges");
    return load_filter();
}

Result<void> limit_processor_time(std::uint32_t seconds) {
    rusage used{};
    rlimit limits{};
    if (getrusage(RUSAGE_SELF, &used) != 0 || getrlimit(RLIMIT_CPU, &limits) != 0)
        return fail_errno(errno, "limit processor time");
    limits.rlim_cur =
        static_cast<rlim_t>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + seconds + 1;
    if (limits.rlim_max != RLIM_INFINITY && limits.rlim_cur > limits.rlim_max)
        limits.rlim_cur = limits.rlim_max;
    if (setrlimit(RLIMIT_CPU, &limits) != 0) return fail_errno(errno, "limit processor time");
    return {};
}

}  // namespace tidepool::transform
