// cc: -g -O2
struct pair { long v[2]; };
__attribute__((noipa)) long sum(struct pair p, int n) { return p.v[0] + p.v[1] + n; }
int main(void) { return sum((struct pair){{3, 4}}, 1) != 8; }
