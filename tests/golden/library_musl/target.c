// build: ! command -v musl-gcc || { musl-gcc -g -shared -fPIC lib.c -o libearly.so && musl-gcc -g -shared -fPIC -Dcalled=opened lib.c -o liblate.so && musl-gcc -g target.c ./libearly.so -Wl,-rpath,'$ORIGIN' -o target; }
#include <dlfcn.h>

int called(void);

int main(void)
{
	int sum = called();
	void *late = dlopen("./liblate.so", RTLD_NOW);
	if (late)
		sum += ((int (*)(void))dlsym(late, "opened"))();
	return sum != 14;
}
