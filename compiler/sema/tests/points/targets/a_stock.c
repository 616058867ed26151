// cc -g -O0 -shared -fPIC -Wl,-soname,libstock.so.1 a_stock.c -o libstock.so.1
int on_shelf = 12;
static int taken;

int stock_take(int pieces)
{
  taken += pieces;
  return on_shelf - taken;
}
