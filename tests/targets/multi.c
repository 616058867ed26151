// cc: -g -O0 multi2.c
int shared_g = 5;
static int twin = 1;
static int helper(int x) { return x + twin; }
int other(int y);
struct cfg; extern struct cfg conf; 
int main(void) { return helper(1) + other(2) - shared_g == 0; }
