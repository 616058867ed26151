// build: cc -g -O1 -shared -fPIC lib.c -o libback.so && cc -g target.c -o target
/* Calls a library, closes it, and opens it again with something else where it was, until its input ends. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>

static int call(void *library)
{
	return ((int (*)(int))dlsym(library, "called"))(1);
}

int main(void)
{
	struct pollfd input = {0, POLLIN, 0};
	int same = 0;
	void *library = dlopen("./libback.so", RTLD_NOW);
	if (!library)
		return 1;
	puts("ready");
	fflush(stdout);
	while (poll(&input, 1, 1) == 0) {
		void *old = (void *)((struct link_map *)library)->l_addr;
		if (call(library) != 2)
			return 2;
		dlclose(library);
		mmap(old, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		library = dlopen("./libback.so", RTLD_NOW);
		same += (void *)((struct link_map *)library)->l_addr == old;
	}
	printf("%d times at the same address\n", same);
	return 0;
}
