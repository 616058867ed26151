// cc: -g -O1
volatile double sink;
__attribute__((noipa)) int use(float a, double b, int c)
{
  double twice = b * 2;
  float half = a / 2;
  double both = a - b;
  double wide = c;
  float negative = -a;
  sink = 1;
  sink = twice + half;
  return both + wide + negative;
}
int main(void) { return use(1.5f, 2.25, 7) != 4; }
