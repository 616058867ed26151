// cc: -O0 -g
// Has a label that is jumped to.
#include <stdio.h>

int main(int argc, char **argv) {
    int n = 0;
here:
    if (n++ < argc)
        goto here;
    return argv == 0;
}
