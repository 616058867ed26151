// cc: -g -O0
volatile int sink;
int fill(int rows, int columns)
{
  short grid[rows][columns];
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < columns; j++)
      grid[i][j] = (short)(10 * i + j);
  sink = grid[1][2];
  return sink;
}
int main(void) { return fill(2, 3) + fill(3, 5) != 24; }
