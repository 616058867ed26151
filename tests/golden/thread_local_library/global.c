// (a library of target, see target.c)
__thread int before[5] = {9};
__thread int global_total = 10;
static __thread int global_hidden = 20;
int global_count(int by)
{
  global_hidden -= by;
  return before[0] + (global_total += by) + global_hidden;
}
