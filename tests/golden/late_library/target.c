// cc: -g -O0 -ldl
#include <dlfcn.h>
#include <stdio.h>
int before(void) { return 1; }
int main(void)
{
  for (int i = 0; i < 2; i++) {
    before();
    void *library = dlopen("libm.so.6", RTLD_NOW);
    double (*hypot)(double, double) = (double (*)(double, double))dlsym(library, "hypot");
    if (hypot(3, 4) != 5) return 1;
    dlclose(library);
  }
  return 0;
}
