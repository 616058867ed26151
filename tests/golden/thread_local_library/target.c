// build: cc -g -O0 -shared -fPIC global.c -o libglobal.so && cc -g -O0 -shared -fPIC -ftls-model=initial-exec initial.c -o libinitial.so && cc -g -O0 target.c ./libglobal.so ./libinitial.so -Wl,-rpath,'$ORIGIN' -pthread -o target
#include <pthread.h>
int global_count(int by);
int initial_count(int by);

static void *other(void *unused)
{
  global_count(100);
  initial_count(100);
  global_count(100);
  initial_count(100);
  return unused;
}

int main(void)
{
  pthread_t thread;
  global_count(1);
  initial_count(1);
  pthread_create(&thread, 0, other, 0);
  pthread_join(thread, 0);
  global_count(2);
  initial_count(2);
  return 0;
}
