// cc -g -O0 uselib.c libstock.so.1 -Wl,-rpath,$ORIGIN -o uselib
int stock_take(int);

int main(int argc, char **argv)
{
  return stock_take(argc);
}
