// launch ROUNDS COMMAND…: runs the command so often; prints the median time from its start to its first output in
// milliseconds, the median time to its end, and the largest resident set in MB of it and what it waited for.
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#define MOST 101
static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}
static int ascending(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
int main(int argc, char **argv)
{
  int rounds = argc > 2 ? atoi(argv[1]) : 0;
  double first[MOST], last[MOST];
  long most = 0;
  if (rounds < 1 || rounds > MOST) return 2;
  for (int i = 0; i < rounds; i++) {
    int out[2];
    char buffer[65536];
    struct rusage usage;
    if (pipe(out)) return 1;
    double start = now();
    pid_t child = fork();
    if (child == 0) {
      dup2(out[1], 1);
      close(out[0]);
      close(out[1]);
      execvp(argv[2], argv + 2);
      _exit(127);
    }
    close(out[1]);
    ssize_t got = read(out[0], buffer, sizeof buffer);
    first[i] = now() - start;
    while (got > 0) got = read(out[0], buffer, sizeof buffer);
    close(out[0]);
    wait4(child, 0, 0, &usage);
    last[i] = now() - start;
    if (usage.ru_maxrss > most) most = usage.ru_maxrss;
  }
  qsort(first, rounds, sizeof *first, ascending);
  qsort(last, rounds, sizeof *last, ascending);
  printf("%.1f %.1f %.1f\n", first[rounds / 2], last[rounds / 2], most / 1024.0);
  return 0;
}
