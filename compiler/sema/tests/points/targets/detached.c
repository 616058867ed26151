// cc -g -O0 -Wl,--build-id=none detached.c -o detached
int far_away(int distance)
{
  return distance * 2;
}

int main(int argc, char **argv)
{
  return far_away(argc);
}
