// cc: -g -O0
namespace shop {
struct Base { int id; virtual ~Base() {} virtual int price(int qty) { return id * qty; } };
struct Mixin { char flag; };
class Item : public Base, public Mixin {
public:
  static int count;
  int weight;
  int &ref;
  double cost;
  Item(int i, int w, int &r) : weight(w), ref(r), cost(1.25) { id = i; flag = 'q'; count++; }
  int price(int qty) override { return weight * qty + ref; }
  int heavy() const { return weight > 10; }
  static int howmany() { return count; }
};
int Item::count = 0;
int tally(const Item &it, Item *p, int &&rv) { return it.weight + p->weight + rv; }
}
template <typename T> T biggest(T a, T b) { return a > b ? a : b; }
int over(int a) { return a; }
int over(int a, int b) { return a + b; }
int over(const char *s) { return s[0]; }
int main()
{
  int base = 100;
  shop::Item it(7, 12, base);
  shop::Base *b = &it;
  int r = b->price(3);
  r += it.heavy();
  r += shop::Item::howmany();
  r += shop::tally(it, &it, 5);
  r += biggest<int>(3, 9) + (int)biggest<long>(4, 2);
  r += over(1) + over(1, 2) + over("A");
  return 0;
}
