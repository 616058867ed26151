// cc: -O2 -g
// Children that all run at once, each calling a function. Exits with 0 if all of them were well.
// Usage: brood CHILDREN CALLS, or brood CHILDREN CALLS exec for children that run this program anew.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile unsigned long done;

__attribute__((noinline)) void called(void) { done++; }

static int child(unsigned long calls)
{
	for (unsigned long i = 0; i < calls; i++)
		called();
	return done == calls ? 7 : 1;
}

int main(int argc, char **argv)
{
	int children = atoi(argv[1]), bad = 0;
	unsigned long calls = strtoul(argv[2], 0, 10);
	if (children == 0)
		return child(calls);
	for (int i = 0; i < children; i++) {
		if (fork() == 0) {
			if (argc > 3)
				execl(argv[0], argv[0], "0", argv[2], (char *)0);
			_exit(child(calls));
		}
	}
	for (int i = 0; i < children; i++) {
		int status;
		if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
			bad++;
	}
	return bad;
}
