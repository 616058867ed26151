int called(int x) { return x + 1; }
