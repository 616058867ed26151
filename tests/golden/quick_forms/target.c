// cc: -g -O2
/* Functions whose probes mostly do little. */
#define F(name) __attribute__((noinline)) void name(long x) { __asm__ volatile("" : : "r"(x)); }
F(count)
F(element)
F(statistic)
F(histogram)
F(branch)
F(several)
F(thread)
F(print)

int main(void)
{
	for (long i = 0; i < 300; i++) {
		count(i);
		element(i * 7919);
		statistic(i - 100);
		histogram(i * 31);
		branch(i);
		several(i - 150);
		thread(i);
		print(i);
	}
	return 0;
}
