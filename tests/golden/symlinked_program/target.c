// build: cc -g -O0 target.c -o target && ln -sf target alias
int add(int a, int b) { return a + b; }
int main(void) { return add(3, -3); }
