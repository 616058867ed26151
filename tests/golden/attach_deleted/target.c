// cc: -g -O0
/* Runs as a copy of itself whose file is gone. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int tick(int n) { return n + 1; }

static void become(const char *path)
{
	char bytes[4096];
	FILE *from = fopen("/proc/self/exe", "r"), *to = fopen(path, "w");
	size_t len;
	while ((len = fread(bytes, 1, sizeof bytes, from)) > 0)
		fwrite(bytes, 1, len, to);
	fclose(to);
	char command[64];
	snprintf(command, sizeof command, "chmod +x %s", path);
	if (system(command) == 0)
		execl(path, path, "copy", (char *)NULL);
}

int main(int argc, char **argv)
{
	if (argc == 1) {
		char path[32];
		snprintf(path, sizeof path, "./copy-%d", (int)getpid());
		become(path);
		return 1;
	}
	unlink(argv[0]);
	puts("ready");
	fflush(stdout);
	/* Until the input ends. */
	struct pollfd input = { .fd = 0, .events = POLLIN };
	for (int n = 0; poll(&input, 1, 10) == 0;)
		n = tick(n) - 1;
	return 0;
}
