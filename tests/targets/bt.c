// cc: -g -O0
int low(int z) { return z; }
static int mid(int y) { return low(y + 1) + 1; }
int top(int x) { return mid(x * 2); }
int main(void) { return top(4) == 0; }
