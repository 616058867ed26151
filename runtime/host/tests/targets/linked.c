int library_call(int);
int main(void) { return library_call(1) != 2; }
