// cc: -g
/* System calls with arguments that tell their place, between two that nobody else makes. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	syscall(SYS_getpriority, 77, 78);
	syscall(999, 11, 22, 33, 44, 55, 66);
	syscall(SYS_openat, -100, "/nonexistent/\n", 0x80000, 0644);
	syscall(SYS_lseek, 99, -5L, 1);
	syscall(SYS_mkdirat, 77, (char *)8, 0700);
	syscall(SYS_getpriority, 77, 78);
	return 0;
}
