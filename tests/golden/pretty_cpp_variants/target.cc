// cc: -g -O0 -std=c++17
#include <deque>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

struct point { int x, y; };
using either = std::variant<int, std::string, point>;
struct fails
{
  fails() = default;
  fails(const fails &) { throw 1; }
};
using may_fail = std::variant<int, fails>;

int tuples(std::tuple<int, std::string> two, std::tuple<char, double, point> three, std::tuple<> empty)
{
  return std::get<0>(two) + std::get<0>(three) + sizeof empty;
}
int variants(const either &number, const either &word, const either &point, const may_fail &lost)
{
  return number.index() + word.index() + point.index() + lost.valueless_by_exception();
}
int deques(std::deque<int> &few, std::deque<int> &turned, std::deque<point> &many, std::deque<long> &none)
{
  return few.size() + turned.size() + many.size() + none.size();
}
int bits(std::vector<bool> few, std::vector<bool> many, std::vector<bool> none)
{
  return few.size() + many.size() + none.size();
}

int main()
{
  std::deque<int> few{1, 2, 3}, turned{4, 5};
  std::deque<point> many;
  std::deque<long> none;
  for (int i = 3; i > 0; i--) turned.push_front(i);
  for (int i = 0; i < 1000; i++) many.push_back({i, -i});
  for (int i = 0; i < 997; i++) many.pop_front();
  for (int i = 0; i < 2; i++) many.push_front({i, i});
  may_fail lost = 7;
  try { fails one; lost = one; lost.emplace<fails>(one); } catch (int) {}
  return tuples({1, "two"}, {'c', 2.5, {3, 4}}, {}) + variants(5, "word", point{6, 7}, lost) + deques(few, turned, many, none)
    + bits({true, false, true}, std::vector<bool>(70, true), {}) == 0;
}
