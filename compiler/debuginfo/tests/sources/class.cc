namespace shop {
struct Base {
    virtual ~Base() {}
    int id = 1;
    virtual int price(int quantity) { return id * quantity; }
};

class Item : public Base {
  public:
    int weight = 4;
    static int count;
    int price(int quantity) override { return weight * quantity; }
};
int Item::count = 3;

int tally(const Item &item, Item *other, int &&extra) { return item.weight + other->weight + extra; }
} // namespace shop

template <typename T> T biggest(T a, T b) { return a > b ? a : b; }

int main(int argc, char **)
{
    shop::Item item;
    shop::Base *base = &item;
    return base->price(argc) + shop::tally(item, &item, argc + 1) + biggest(argc, 2) + biggest<long>(argc, 3) +
           shop::Item::count;
}
