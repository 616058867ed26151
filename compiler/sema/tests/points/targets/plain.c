// cc -O1 plain.c -o plain
__attribute__((noinline)) int plain_init(int a)
{
  __asm__ volatile("" : "+r"(a));
  return a;
}

int main(int argc, char **argv)
{
  return plain_init(argc);
}
