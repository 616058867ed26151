// cc: -g -O0
enum big { SMALL = 1, LARGE = 200 };
struct holder { char text[256]; int after[256]; };
int use(struct holder *h, enum big which) { return h->text[0] + h->after[255] + which; }
int main(void)
{
  static struct holder h = {"a text", {1, 2, 3}};
  h.after[255] = 9;
  return use(&h, LARGE) == 0;
}
