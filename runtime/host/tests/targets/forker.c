/* Maps a file as code while another thread forks: that forks when it can read from a pipe, and its child calls the
 * function in the file ten times. Usage: forker FILE OFFSET PIPE */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *const place = (char *)0x700000000;
static int (*function)(int);
static const char *pipe_name;
static volatile int ready;

static void *forking(void *unused) {
    char byte;
    ready = 1;
    int from = open(pipe_name, O_RDONLY), status, sum = 0;
    if (read(from, &byte, 1) != 1) exit(2);
    pid_t pid = fork();
    if (!pid) {
        for (int i = 0; i < 10; i++) sum += function(i);
        _exit(sum);
    }
    if (waitpid(pid, &status, 0) != pid || status != 100 << 8) exit(3);
    return unused;
}

int main(int argc, char **argv) {
    struct stat data;
    int file = open(argv[1], O_RDONLY);
    function = (int (*)(int))(place + atoi(argv[2]));
    pipe_name = argv[3];
    pthread_t thread;
    if (fstat(file, &data) || pthread_create(&thread, 0, forking, 0)) return 1;
    while (!ready) sched_yield();
    if (mmap(place, data.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED_NOREPLACE, file, 0) != place) return 4;
    int sum = function(1);
    pthread_join(thread, 0);
    printf("%d\n", sum);
    return 0;
}
