// cc: -g -O0 -static -no-pie
int add(int a, int b) { return a + b; }
int main(void) { return add(3, 4) - add(10, -3); }
