// cc -g -O0 shop.c -o shop
struct price { int euros; unsigned char cents; };
enum season { SUMMER = 1, WINTER = -2 };
struct article {
  struct price price;
  unsigned stock : 5;
  int change : 11;
  const char *name;
  struct article *next;
  union { long code; short parts[4]; };
  double weight;
  char label[8];
};

static long sold = 3;
int matrix[2][3] = {{1, 2, 3}, {4, 5, 6}};
__thread int visits;

int common_init_1(int argc, char **argv)
{
  int left = argc - 1;
  visits += left;
  return left;
}

void common_init_2(void)
{
  sold++;
}

struct price discount(struct article *a, float rate, enum season when, short percent)
{
  struct price p = a->price;
  if (when == SUMMER) {
    int cut = p.euros * percent / 100;
    p.euros -= cut;
  }
  sold += (long)rate;
  return p;
}

static unsigned char grade(struct price p, signed char bias, unsigned long long big, struct article whole)
{
  return p.cents + bias + big + whole.stock;
}

int main(int argc, char **argv)
{
  struct article pen = {{2, 50}, 7, -3, "pen"};
  common_init_1(argc, argv);
  common_init_2();
  discount(&pen, 0.5f, SUMMER, 10);
  return grade(pen.price, -1, 9, pen) + matrix[1][2] == 0;
}
