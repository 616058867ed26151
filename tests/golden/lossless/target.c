// cc: -g -O2
__attribute__((noinline)) void called(int x) { __asm__ volatile("" : : "r"(x)); }
int main(void)
{
	for (int i = 0; i < 50; i++)
		called(i);
	return 0;
}
