// build: cc -g -O0 -Wl,--build-id=0xabcdef target.c -o target && mkdir -p root/.build-id/ab && objcopy --only-keep-debug target root/.build-id/ab/cdef.debug && strip target
int add(int a, int b) { return a + b; }
int main(void) { return add(3, -3); }
