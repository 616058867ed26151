// cc: -g -O0
struct pair { __int128 first; unsigned __int128 second; };
int wide(__int128 number, unsigned __int128 natural, struct pair *pair) { return (int)number + (int)natural + (int)pair->first; }
int main(void)
{
  struct pair pair = {-((__int128)1 << 70), (unsigned __int128)-1};
  return wide(-5, (unsigned __int128)10000000000 * 10000000000, &pair) == 0;
}
