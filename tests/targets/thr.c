// cc: -g -O0 -lpthread
#include <pthread.h>
void *body(void *arg) { return (char *)arg + 1; }
int main(void)
{
  pthread_t t;
  for (long i = 0; i < 3; i++) {
    pthread_create(&t, 0, body, (void *)i);
    pthread_join(t, 0);
  }
  return 0;
}
