/* The C program of the matrix: every kind of type, kept in every kind of place. Output goes to standard error. */
#include <complex.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uchar.h>
#include <wchar.h>

#define NOINLINE __attribute__((noinline))
#define INLINE static inline __attribute__((always_inline))

enum color { RED, GREEN = 5, BLUE = -7 };
enum flags { SMALL = 1, HUGE_FLAG = 0x80000000u };

struct point {
    int x, y;
};

struct bits {
    unsigned first : 3;
    int second : 9;
    unsigned long long third : 41;
    bool fourth : 1;
    signed char fifth : 5;
};

union word {
    int64_t whole;
    double number;
    unsigned char bytes[8];
};

struct node {
    struct node *next;
    const char *name;
    struct point where;
    union word word;
    struct bits bits;
    enum color color;
    short row[4];
    struct {
        float ratio;
        union {
            int inner;
            char letters[4];
        };
    };
    int (*apply)(int, int);
};

struct pair_of_doubles {
    double a, b;
};

struct mixed {
    double a;
    long b;
};

struct large {
    long values[6];
};

int counter = 3;
static long hidden = -11;
static __thread int per_thread = 21;
__thread struct point thread_point = {31, 32};
const char *const greeting = "hello";
volatile long sink;

NOINLINE static int add(int a, int b) {
    int sum = a + b;
    sink += sum;
    return sum;
}

NOINLINE static int multiply(int a, int b) {
    long product = (long)a * b;
    sink += product;
    return (int)product;
}

INLINE long blend(long a, long b, int weight) {
    long left = a * weight;
    long right = b * (16 - weight);
    long both = left + right;
    sink ^= both;
    return both / 16;
}

/* Parameters in all integer registers, and more on the stack. */
NOINLINE static long many(char a, unsigned char b, short c, unsigned short d, int e, unsigned f, long g,
                          unsigned long h, _Bool i, const char *j) {
    long total = a + b + c;
    total += d + e;
    total += f + g;
    sink = total;
    total += (long)h + i;
    total += j[0];
    sink = total;
    return total;
}

NOINLINE static double floats(float a, double b, long double c, int d, float _Complex e) {
    float half = a / 2;
    double twice = b * 2;
    sink += (long)half;
    long double third = c / 3;
    double part = crealf(e) + cimagf(e);
    sink += d;
    double all = half + twice + (double)third + part;
    sink += (long)all;
    return all;
}

NOINLINE static struct point turn(struct point p) {
    struct point q = {-p.y, p.x};
    sink += q.x;
    sink += q.y;
    return q;
}

NOINLINE static struct mixed mix(struct mixed m, struct pair_of_doubles p) {
    struct mixed out = {m.a + p.a, m.b + (long)p.b};
    sink += out.b;
    return out;
}

NOINLINE static struct large grow(struct large in, int by) {
    for (int i = 0; i < 6; i++) {
        long old = in.values[i];
        in.values[i] = old * by;
        sink += in.values[i];
    }
    return in;
}

/* The parameters are dead after the first use: only their entry values remain. */
NOINLINE static long forgetful(long seed, long unused, const struct point *p) {
    long a = add((int)seed, p->x);
    long b = add((int)a, 7);
    long c = multiply((int)b, 3);
    return a + b + c;
}

NOINLINE static long callers(long n) {
    struct point here = {(int)n, 40};
    long r = forgetful(17, n, &here);
    long s = forgetful(n + 1, 99, &here);
    return r + s + here.x;
}

NOINLINE static long variable_length(int n, int m) {
    int row[n];
    short grid[2][m];
    for (int i = 0; i < n; i++)
        row[i] = i * i + n;
    for (int j = 0; j < m; j++) {
        grid[0][j] = (short)(j + 1);
        grid[1][j] = (short)(-j);
    }
    long total = 0;
    for (int i = 0; i < n; i++)
        total += row[i] + grid[i % 2][i % m];
    sink += total;
    return total;
}

NOINLINE static unsigned __int128 wide(unsigned __int128 a, __int128 b) {
    unsigned __int128 c = a * 3 + (unsigned __int128)b;
    sink += (long)c;
    sink += (long)(c >> 64);
    return c;
}

NOINLINE static int statics(int step) {
    static int calls = 0;
    static struct point last = {1, 2};
    calls += step;
    last.x += calls;
    last.y -= step;
    sink += last.x;
    return calls;
}

NOINLINE static int threads(int add_to) {
    per_thread += add_to;
    thread_point.y += per_thread;
    sink += thread_point.y;
    return per_thread;
}

NOINLINE static int characters(char c, char16_t d, char32_t e, wchar_t f, const wchar_t *text) {
    char local[6] = "abcde";
    local[1] = c;
    sink += local[1] + d;
    int sum = (int)e + (int)f + (int)text[1];
    sink += sum;
    return sum + local[2];
}

NOINLINE static int walk(const struct node *list) {
    int depth = 0;
    for (const struct node *n = list; n; n = n->next) {
        int here = n->row[depth % 4] + n->where.x;
        sink += here;
        depth++;
        sink += n->apply(here, depth);
    }
    return depth;
}

NOINLINE static int recurse(int n, int *trail) {
    int local = n * 2;
    *trail += local;
    if (n == 0)
        return local;
    int below = recurse(n - 1, trail);
    sink += below;
    return below + local;
}

/* Locals that the optimiser takes apart, folds or points to without memory. */
NOINLINE static int scalars(int n) {
    struct point p = {n, n + 1};
    struct point *to = &p;
    const int constant = 42;
    enum color color = n > 2 ? GREEN : BLUE;
    enum flags flags = HUGE_FLAG;
    sink += to->x;
    sink += to->y * constant;
    bool odd = n & 1;
    sink += color;
    sink += flags;
    sink += odd;
    long blended = blend(n, constant, 5);
    sink += blended;
    return p.x + (int)blended;
}

INLINE int checked(const struct point *p, int limit) {
    int over = p->x > limit;
    int under = p->y < -limit;
    sink += over;
    return over - under;
}

NOINLINE static int nested(int a, int b) {
    struct point p = {a, b};
    int total = 0;
    for (int i = 0; i < 3; i++) {
        int a = i * 10;
        total += checked(&p, a);
        {
            long b = a + total;
            sink += b;
        }
    }
    return total;
}

NOINLINE static int tail(int a, int b) {
    sink += a;
    return multiply(a + 1, b + 2);
}

/* What earlier code has left on the stack is not the same under gdb. Variables show it before they are written. */
NOINLINE static void scrub(void) {
    volatile char below[1 << 14];
    for (unsigned i = 0; i < sizeof below; i++)
        below[i] = 0;
}

int main(int argc, char **argv) {
    scrub();
    struct node second = {.name = "second",
                          .where = {11, 12},
                          .word = {.number = 2.5},
                          .bits = {5, -100, 0x123456789aULL, true, -9},
                          .color = BLUE,
                          .row = {1, -2, 3, -4},
                          .ratio = 0.75f,
                          .inner = 0x41424344,
                          .apply = add};
    struct node first = second;
    first.next = &second;
    first.name = greeting;
    first.color = GREEN;
    first.where.x = argc;
    first.apply = multiply;
    long all = many('a', 200, -300, 60000, -70000, 4000000000u, -5, 6, argc > 0, argv[0] ? "text" : "");
    all += (long)floats(1.5f, 2.25, 3.5L, 4, 5.0f + 6.0f * I);
    struct point turned = turn((struct point){argc + 4, 9});
    struct mixed mixed = mix((struct mixed){1.25, 8}, (struct pair_of_doubles){2.5, argc});
    struct large large = grow((struct large){{1, 2, 3, 4, 5, argc}}, 2);
    all += callers(argc + 2);
    all += variable_length(argc + 4, argc + 2);
    unsigned __int128 product = wide(((unsigned __int128)7 << 64) + 9, -5);
    all += statics(2) + statics(argc);
    all += threads(argc);
    all += characters('x', u'\u00e9', U'\U0001f600', L'w', L"wide");
    all += walk(&first);
    int trail = 0;
    all += recurse(3, &trail);
    all += scalars(argc) + scalars(argc + 2);
    all += nested(argc + 5, -8);
    all += tail(argc, 6);
    all += turned.x + mixed.b + large.values[5] + (long)product + trail + counter + hidden;
    /* They live to the end: else what is at their place later is compared, which nobody knows. */
    all += first.where.y + second.where.y;
    fprintf(stderr, "%ld %ld\n", all, sink);
    return 0;
}
