// cc: -g -O1 -lpthread
// A program to attach to: says where `work` is, then calls it from some threads until its standard input ends.
// Arguments: how many threads (1), how many microseconds each sleeps between calls (1000).
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static volatile int stop;
static int pause_us = 1000;
static long done[64];
__attribute__((noinline)) long work(long thread, long count)
{
  return thread * 1000000 + count;
}
static void *loop(void *arg)
{
  long thread = (long)arg, count = 0;
  while (!stop) {
    long sum = work(thread, count);
    if (sum != thread * 1000000 + count) abort();
    count++;
    if (pause_us) usleep(pause_us);
  }
  done[thread] = count;
  return 0;
}
int main(int argc, char **argv)
{
  int threads = argc > 1 ? atoi(argv[1]) : 1;
  pthread_t ids[64];
  if (threads < 1 || threads > 64) return 2;
  if (argc > 2) pause_us = atoi(argv[2]);
  for (long i = 0; i < threads; i++) pthread_create(&ids[i], 0, loop, (void *)i);
  printf("ready %p\n", (void *)work);
  fflush(stdout);
  char rest;
  while (read(0, &rest, 1) > 0) { }
  stop = 1;
  for (long i = 0; i < threads; i++) pthread_join(ids[i], 0);
  for (long i = 0; i < threads; i++) if (done[i] == 0) return 3;
  puts("unharmed");
  return 0;
}
