// (a library of target, see target.c)
__thread int initial_before[3] = {9};
__thread int initial_total = 30;
int initial_count(int by)
{
  return initial_before[0] + (initial_total += by);
}
