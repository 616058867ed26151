// cc: -O1 -g
// Sets what can be asked about a process, then calls a function.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

__attribute__((noinline)) void here(int files) { __asm__ volatile("" : : "r"(files) : "memory"); }

int main(void) {
    int files = 0;
    for (int fd = 0; fd < 1024; fd++)
        files += fcntl(fd, F_GETFD) >= 0;
    dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), 9);
    files += 2;
    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) < 7 ? 7 : 7);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){100, 100});
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, RLIM_INFINITY});
    if (chdir("/") != 0)
        return 1;
    here(files);
    return 0;
}
