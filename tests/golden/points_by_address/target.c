// cc: -g -O0 -no-pie -Wl,--section-start=.first=0x700000 -Wl,--section-start=.second=0x710000
__attribute__((section(".first"))) int first(int n) { return n + 1; }

__attribute__((section(".second"))) int second(int n) { return n + 2; }

int main(void) { return first(3) + second(4) != 10; }
