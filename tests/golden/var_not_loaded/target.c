// cc: -g -O0
int level;
int main(void) { return level; }
