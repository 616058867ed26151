/* Maps a file as code by itself, calls a function in it at once, and unmaps it; twice each time at the same place. With
 * "move" it moves what it has mapped, and calls the function there; with "protect" it changes what may be done with a
 * page in the middle, and maps the file once more before it calls the function.
 * Usage: mapper FILE OFFSET TIMES [move|protect] */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

int main(int argc, char **argv) {
    struct stat data;
    int file = open(argv[1], O_RDONLY), sum = 0;
    if (fstat(file, &data)) return 1;
    for (int i = 0; i < atoi(argv[3]); i++) {
        char *at = 0;
        for (int again = 0; again < 2; again++) {
            at = mmap(at, data.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE | (at ? MAP_FIXED : 0), file, 0);
            if (at == MAP_FAILED) return 2;
            sum += ((int (*)(int))(at + atoi(argv[2])))(i);
        }
        if (argc > 4 && argv[4][0] == 'p') {
            char *page = at + (atoi(argv[2]) & ~4095);
            if (mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC)) return 4;
            char *other = mmap(0, data.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
            sum += ((int (*)(int))(at + atoi(argv[2])))(i);
            munmap(other, data.st_size);
        } else if (argc > 4) {
            char *to = mmap(0, data.st_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            at = mremap(at, data.st_size, data.st_size, MREMAP_MAYMOVE | MREMAP_FIXED, to);
            if (at == MAP_FAILED) return 3;
            sum += ((int (*)(int))(at + atoi(argv[2])))(i);
        }
        munmap(at, data.st_size);
    }
    printf("%d\n", sum);
    return 0;
}
