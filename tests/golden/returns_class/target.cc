// cc: -g -O0
struct simple { long value; };
struct defaulted { long value; defaulted(const defaulted &) = default; ~defaulted() = default; defaulted(long v) : value(v) {} };
struct owning { long value; owning(long v) : value(v) {} ~owning() { value = 0; } };
struct copied { long value; copied(long v) : value(v) {} copied(const copied &other) : value(other.value + 1) {} };
struct moved { long value; moved(long v) : value(v) {} moved(const moved &) = delete; moved(moved &&other) : value(other.value) {} };
struct holding { owning value; holding(long v) : value(v) {} };
struct derived : copied { derived(long v) : copied(v) {} };
struct virtuals { long value; virtuals(long v) : value(v) {} virtual long get() { return value; } };
template <class T> struct box { T value; box(T v) : value(v) {} box(const box &other) : value(other.value) {} };

simple simple_of(long v) { return {v}; }
defaulted defaulted_of(long v) { return defaulted(v); }
owning owning_of(long v) { return owning(v); }
copied copied_of(long v) { return copied(v); }
moved moved_of(long v) { return moved(v); }
holding holding_of(long v) { return holding(v); }
derived derived_of(long v) { return derived(v); }
virtuals virtuals_of(long v) { return virtuals(v); }
box<int> box_of(long v) { return box<int>(v); }
long taken(long before, owning it, simple last) { return before + it.value + last.value; }

int main()
{
  long sum = simple_of(1).value + defaulted_of(2).value + owning_of(3).value + copied_of(4).value + moved_of(5).value;
  sum += holding_of(6).value.value + derived_of(7).value + virtuals_of(8).get() + box_of(9).value;
  return sum + taken(30, owning(7), simple{5}) < 0;
}
