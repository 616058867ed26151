// build: clang++ -stdlib=libc++ -g -O0 -std=c++17 target.cc -o target
#include <array>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

struct point { int x, y; };
using either = std::variant<int, std::string>;

int texts(const std::string &s, const std::string &large, std::string_view v, std::string &empty)
{
  return s.size() + large.size() + v.size() + empty.size();
}
int rows(std::vector<int> &few, std::vector<std::string> &names, std::array<short, 3> &three, std::vector<bool> &bits,
         std::deque<int> &deque)
{
  return few.size() + names.size() + three.size() + bits.size() + deque.size();
}
int nodes(std::map<int, std::string> &map, std::set<char> &set, std::list<point> &list, std::unordered_map<int, int> &hash)
{
  return map.size() + set.size() + list.size() + hash.size();
}
int owners(std::unique_ptr<point> &one, std::shared_ptr<int> &shared, std::unique_ptr<int> &none, std::optional<int> &maybe,
           std::optional<int> &sure)
{
  return one->x + *shared + !none + !maybe + *sure;
}
int choices(std::tuple<int, std::string> &pair, either &word, either &number)
{
  return std::get<0>(pair) + word.index() + number.index();
}

int main()
{
  std::string s = "short", empty, large = "a text that is longer than fits into a small string";
  std::vector<int> few{1, 2, 3};
  std::vector<std::string> names{"ann", "bob"};
  std::array<short, 3> three{7, 8, 9};
  std::vector<bool> bits{true, false, true};
  std::deque<int> deque;
  for (int i = 0; i < 3000; i++) deque.push_back(i);
  for (int i = 0; i < 2995; i++) deque.pop_front();
  std::map<int, std::string> map{{3, "three"}, {1, "one"}, {2, "two"}};
  std::set<char> set{'c', 'a', 'b'};
  std::list<point> list{{5, 6}, {7, 8}};
  std::unordered_map<int, int> hash{{4, 16}};
  auto one = std::make_unique<point>(point{8, 9});
  auto shared = std::make_shared<int>(42);
  std::unique_ptr<int> none;
  std::optional<int> maybe, sure = 17;
  std::tuple<int, std::string> pair{1, "two"};
  either word = "word", number = 5;
  return texts(s, large, "view", empty) + rows(few, names, three, bits, deque) + nodes(map, set, list, hash)
    + owners(one, shared, none, maybe, sure) + choices(pair, word, number) == 0;
}
