// cc: -g -static -nostdlib
/* A program that has one instruction to be seen, its first. */
void _start(void)
{
	__asm__ volatile("mov $60, %eax; xor %edi, %edi; syscall");
}
