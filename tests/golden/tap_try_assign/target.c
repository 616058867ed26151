// cc: -g -O1
// Passes the address of a member.
struct outer {
    long first, second;
};
struct outer one = {7, 9};
__attribute__((noinline)) void take(long *second) { __asm__ volatile("" : : "r"(second) : "memory"); }

int main(void) {
    take(&one.second);
    return 0;
}
