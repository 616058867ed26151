// cc: -g -O0 -std=c++17
#include <array>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

struct point { int x, y; };
enum class color { red, green = 7 };
struct person
{
  std::string name;
  std::vector<int> marks;
  std::optional<double> weight;
  color favourite;
};

int texts(const std::string &s, std::string_view v, std::string &empty) { return s.size() + v.size() + empty.size(); }
int rows(std::vector<int> &few, std::vector<point> &points, std::vector<std::string> &names, std::vector<long> &many,
         std::array<short, 3> &three)
{
  return few.size() + points.size() + names.size() + many.size() + three.size();
}
int nodes(std::map<int, std::string> &map, std::set<int> &set, std::list<point> &list, std::unordered_map<int, int> &hash)
{
  return map.size() + set.size() + list.size() + hash.size();
}
int owners(std::unique_ptr<point> &one, std::shared_ptr<int> &shared, std::unique_ptr<int> &none, std::optional<int> &maybe)
{
  return one->x + *shared + !none + !maybe;
}
int people(person &p, person *q) { return p.name.size() + q->name.size(); }

int main()
{
  std::string s = "short", empty, large = "a text that is longer than fits into a small string";
  std::vector<int> few{1, 2, 3};
  std::vector<point> points{{1, 2}, {3, 4}};
  std::vector<std::string> names{"ann", "bob"};
  std::vector<long> many(20, -1), nothing;
  std::array<short, 3> three{7, 8, 9};
  std::map<int, std::string> map{{3, "three"}, {1, "one"}, {2, "two"}};
  std::set<int> set;
  for (int i = 0; i < 12; i++) set.insert(i * 7 % 12);
  std::list<point> list{{5, 6}};
  std::unordered_map<int, int> hash{{4, 16}};
  auto one = std::make_unique<point>(point{8, 9});
  auto shared = std::make_shared<int>(42);
  std::unique_ptr<int> none;
  std::optional<int> maybe;
  person p{"carol", {10, 20}, 61.5, color::green}, q{large, {}, std::nullopt, color::red};
  return texts(s, "view", empty) + rows(few, points, names, many, three) + nodes(map, set, list, hash)
    + owners(one, shared, none, maybe) + people(p, &q) + rows(few, points, names, nothing, three) == 0;
}
