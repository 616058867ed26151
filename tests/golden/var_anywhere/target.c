// cc: -g -O0
#include <unistd.h>

volatile int level = 1;
static volatile int hidden = 40;
struct { int a, b; } pair = {1, 2};

int main(void)
{
    level = 2;
    getppid();
    hidden = 41;
    level = 3;
    for (;;)
        pause();
}
