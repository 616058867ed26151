// cc: -O1 -g
// Does nothing.
int main(void) { return 0; }
