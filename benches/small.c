// The program of the launch benchmark.
int main(void) { return 0; }
