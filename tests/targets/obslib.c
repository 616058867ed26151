// (the library of uselib, see uselib.c)
int lib_calls = 8; int lib_twice(int v) { return v * 2; }
int lib_chain(int v) { return lib_twice(v) + 1; }
