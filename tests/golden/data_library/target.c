// cc: -g -O0 -ldl
#include <dlfcn.h>
#include <stddef.h>

int main(void)
{
    void *library = dlopen("libm.so.6", RTLD_NOW);
    double (*logarithm)(double) = (double (*)(double))dlsym(library, "lgamma");

    return logarithm == NULL || logarithm(-0.5) < 0;
}
