// cc: -g -O0
#include <unistd.h>

volatile int argument_count;

int main(int argc, char **argv)
{
    argument_count = argc;
    if (argc < 3)
        execl("/proc/self/exe", argv[0], "a", argc < 2 ? NULL : "b", NULL);
    return 0;
}
