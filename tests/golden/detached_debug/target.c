// build: cc -g -O0 target.c -o target && mkdir -p .debug && objcopy --only-keep-debug target .debug/target.debug && strip -g target && objcopy --add-gnu-debuglink=.debug/target.debug target
int add(int a, int b) { return a + b; }
int main(void) { return add(3, -3); }
