// cc: -g -O0
/* Rounds upwards, and says whether a probe changed that or left a flag. */
#include <stdio.h>
#include <xmmintrin.h>

static volatile double sum;

static void probed(double a, double b)
{
	sum = a + b;
}

int main(void)
{
	_mm_setcsr(0x1f80 | _MM_ROUND_UP);
	probed(1, 4);
	fprintf(stderr, "%#x\n", _mm_getcsr());
	volatile double one = 1, three = 3;
	probed(one, three);
	fprintf(stderr, "%#x\n", _mm_getcsr());
	return 0;
}
