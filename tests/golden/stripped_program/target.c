// cc: -O1 -s -rdynamic -fno-ipa-ra
__attribute__((noinline)) int shop_open(int hour, const char *name) { return hour + name[0]; }
__attribute__((noinline)) int shop_close(int hour, const char *name) { return hour - name[0]; }
int main(int argc, char **argv) { return shop_open(9, "corner") + shop_close(18, "corner") == argc + (argv != 0); }
