#include <stdlib.h>

struct point {
    int x, y;
};

struct flags {
    unsigned low : 3;
    int middle : 7;
    unsigned long wide : 40;
};

enum mode { OFF, ON = 5, LOST = -3 };

typedef int (*binary)(int, long);

union number {
    int whole;
    float real;
};

struct nest {
    struct point at;
    union {
        int first;
        char text[4];
    };
    struct point *next;
    enum mode mode;
};

struct opaque;

int counter = 7;
static int hidden[4];
_Thread_local int per_thread = 3;

int add(int a, int b)
{
    int sum;
    sum = a + b;
    {
        int inner = sum * 2;
        sum = inner / 2;
    }
    return sum;
}

static long visit(const char *text, struct point *p, struct nest n, enum mode mode, binary f,
                  struct flags flags, struct opaque *other, int **grid)
{
    long total = 0;
    static int calls;
    calls++;
    for (int i = 0; text[i]; i++) {
        int weight = p->x + i;
        total += weight * n.at.y + mode + f(i, total) + flags.middle;
    }
    return other ? total : total + **grid;
}

static int apply(int a, long b)
{
    return a + (int)b;
}

int main(int argc, char **argv)
{
    struct point p = {argc, 2};
    struct nest n = {{3, 4}, {0}, &p, ON};
    struct flags flags = {1, 2, 3};
    int *row = &counter;
    per_thread += argc;
    hidden[argc & 3] = add(argc, 2);
    return (int)visit(argv[0], &p, n, ON, apply, flags, NULL, &row) == 12345;
}
