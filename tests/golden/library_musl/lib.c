/* A library for a program of another C library. */
__attribute__((constructor)) static void starts(void) {}
int called(void) { return 7; }
