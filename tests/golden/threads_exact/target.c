// cc: -g -O0 -lpthread
#include <pthread.h>
volatile long sum;
void step(long thread, long i) { sum += thread ^ i; }
static void *body(void *arg)
{
  for (long i = 0; i < 250; i++) step((long)arg, i);
  return 0;
}
int main(void)
{
  pthread_t ids[8];
  for (long i = 0; i < 8; i++) pthread_create(&ids[i], 0, body, (void *)i);
  for (int i = 0; i < 8; i++) pthread_join(ids[i], 0);
  return 0;
}
