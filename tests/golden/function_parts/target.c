// cc: -O2 -g
// gcc inlines the test at the start of `record` into its callers and moves the rest to `record.part.0`.
#include <stdio.h>
#include <stdlib.h>

static int *log_of_sums;
static int used;

static int record(int value) {
    if (value < 0)
        return 0;
    for (int i = 0; i < value; i++) {
        log_of_sums = realloc(log_of_sums, ++used * sizeof *log_of_sums);
        log_of_sums[used - 1] = used > 1 ? log_of_sums[used - 2] + i : i;
        if (used % 1000 == 0)
            fprintf(stderr, "%d entries of %p\n", used, (void *)log_of_sums);
    }
    free(log_of_sums);
    log_of_sums = NULL;
    used = 0;
    return value;
}

__attribute__((noipa)) int first(int value) { return record(value) + 1; }
__attribute__((noipa)) int second(int value) { return record(value + 1) + 2; }
__attribute__((noipa)) int third(int value) { return record(value + 2) + record(value - 20) + 3; }

int main(void) { return first(1) + second(-10) + third(2) != 1 + 1 + 2 + 4 + 3; }
