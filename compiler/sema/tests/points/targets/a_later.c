// cc -g -O0 -shared -fPIC a_later.c -o liblater.so
int later_init(int flags)
{
  return flags;
}
