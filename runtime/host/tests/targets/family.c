/* Children of all kinds. Usage: family MODE; the number of calls of f() is known for each mode. */
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
__attribute__((noinline)) int f(int x) { return x * 3 + 1; }

static int reap(pid_t pid) {
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void *in_thread(void *self) {
    execl(self, self, "leaf", (char *)0);
    return 0;
}

int main(int argc, char **argv) {
    char *mode = argv[1], self[256];
    self[readlink("/proc/self/exe", self, sizeof self - 1)] = 0;
    int sum = f(1);
    if (!strcmp(mode, "leaf")) return sum == 4 ? 7 : 1;
    if (!strcmp(mode, "fork")) { /* 1 + 20 * (1 + 2) */
        for (int i = 0; i < 20; i++) {
            pid_t pid = fork();
            if (!pid) _exit(f(f(i)) & 0x7f);
            if (reap(pid) != ((i * 3 + 1) * 3 + 1) % 128) return 1;
            sum += f(i);
        }
    } else if (!strcmp(mode, "vfork")) { /* 1 + 10 * (1 + 1) */
        for (int i = 0; i < 10; i++) {
            pid_t pid = vfork();
            if (!pid) {
                execl(self, self, "leaf", (char *)0);
                _exit(99);
            }
            if (reap(pid) != 7) return 1;
            sum += f(i);
        }
    } else if (!strcmp(mode, "spawn")) { /* 1 + 10 */
        for (int i = 0; i < 10; i++) {
            pid_t pid;
            char *args[] = {self, "leaf", 0};
            if (posix_spawn(&pid, self, 0, 0, args, environ) || reap(pid) != 7) return 1;
        }
    } else if (!strcmp(mode, "exec")) { /* 1 + 1: another thread does the exec, so this one never goes on */
        pthread_t thread;
        pthread_create(&thread, 0, in_thread, self);
        pthread_join(thread, 0);
    } else if (!strcmp(mode, "other")) { /* 1 + 5: the children run another program and end */
        for (int i = 0; i < 5; i++) {
            if (system("true; true")) return 1;
            sum += f(i);
        }
    }
    printf("%d\n", sum);
    return 0;
}
