/* Loads a library, calls it at once, unloads it, again and again. Usage: opener LIBRARY TIMES */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    int sum = 0;
    for (int i = 0; i < atoi(argv[2]); i++) {
        void *library = dlopen(argv[1], RTLD_NOW);
        if (!library) return 1;
        sum += ((int (*)(int))dlsym(library, "library_call"))(i);
        dlclose(library);
    }
    printf("%d\n", sum);
    return 0;
}
