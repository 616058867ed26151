// build: cc -g -O1 -shared -fPIC -Wl,-z,now -D'NAME(x)=linked_##x' early.c -o libearly.so && cc -g -O1 -shared -fPIC -Wl,-z,now -D'NAME(x)=opened_##x' early.c -o liblate.so && cc -g target.c ./libearly.so -Wl,-rpath,'$ORIGIN' -Wl,-z,now -o target
#include <dlfcn.h>

int linked_calls(void);

int main(int argc, char **argv)
{
	if (linked_calls() != 7)
		return 1;
	void *late = dlopen("./liblate.so", RTLD_NOW);
	if (!late)
		return 2;
	int (*calls)(void) = (int (*)(void))dlsym(late, "opened_calls");
	if (calls() != 7)
		return 3;
	return dlclose(late);
}
