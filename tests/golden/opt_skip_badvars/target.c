// cc: -g -O0
// Has one argument.
int main(int argc, char **argv) { return argc - 1 + (argv == 0); }
