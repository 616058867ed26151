// The C++ program of the matrix: classes, references, templates and containers. Output goes to standard error.
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#define NOINLINE __attribute__((noinline))

volatile long sink;

namespace zoo {

enum class Kind : unsigned char { Cat = 1, Dog = 200 };

struct Named {
    std::string name;
    int age;
};

class Animal : public Named {
  public:
    Animal(const char *n, int a, Kind k) : Named{n, a}, kind(k), weight(a * 1.5) {}
    virtual ~Animal() = default;
    NOINLINE virtual int speak(int volume) const {
        int loud = volume * age;
        sink += loud;
        sink += (long)weight;
        return loud + (int)name.size();
    }
    NOINLINE void feed(double amount) {
        double before = weight;
        weight += amount;
        sink += (long)before;
        age += weight > 5;
        sink += age;
    }

  protected:
    Kind kind;
    double weight;
};

struct Tagged {
    int tag = 7;
    static inline int made = 0;
};

class Parrot : public Animal, public Tagged {
  public:
    Parrot(int a) : Animal("polly", a, Kind::Dog), words{3, 1, 4} {}
    NOINLINE int speak(int volume) const override {
        int total = tag;
        for (int word : words) {
            total += word * volume;
            sink += total;
        }
        sink += made;
        return total;
    }

  private:
    std::vector<int> words;
};

} // namespace zoo

template <typename T, int N> struct Ring {
    T items[N];
    unsigned at = 0;
    NOINLINE T push(T value) {
        T old = items[at % N];
        items[at++ % N] = value;
        sink += (long)old;
        sink += at;
        return old;
    }
};

NOINLINE static long by_reference(const zoo::Animal &animal, int &count, long &&temporary) {
    long first = animal.speak(count);
    count += 2;
    sink += count;
    temporary -= first;
    sink += temporary;
    return first + temporary;
}

NOINLINE static std::pair<int, double> both(std::pair<int, double> in, bool swap) {
    std::pair<int, double> out = in;
    if (swap) {
        out.first = (int)in.second;
        out.second = in.first;
    }
    sink += out.first;
    sink += (long)out.second;
    return out;
}

NOINLINE static size_t texts(const std::string &small, std::string large, std::string_view view) {
    size_t length = small.size() + view.size();
    sink += length;
    large += view;
    sink += large[3];
    return length + large.size();
}

NOINLINE static long containers(int n) {
    std::vector<long> numbers;
    std::map<int, long> squares;
    std::unordered_map<int, int> halves;
    std::array<short, 3> three{1, -2, (short)n};
    for (int i = 0; i < n; i++) {
        numbers.push_back(i * 10L);
        squares[i] = i * i;
        halves[i] = i / 2;
        sink += numbers.back();
    }
    std::optional<int> some = n, none;
    std::variant<int, double> either = 2.5;
    auto owned = std::make_unique<Ring<double, 3>>();
    auto shared = std::make_shared<int>(n);
    sink += some.value() + three[2];
    owned->push(n * 0.5);
    long total = *shared + (long)std::get<double>(either) + none.has_value();
    for (auto &[key, value] : squares) {
        total += key * value;
        sink += total;
    }
    return total + numbers[1] + halves[2];
}

NOINLINE static int lambdas(int n) {
    int base = n * 3;
    auto add = [base, &n](int more) {
        int sum = base + more + n;
        sink += sum;
        return sum;
    };
    n += 1;
    int first = add(4);
    sink += first;
    return first + add(n);
}

int main(int argc, char **) {
    zoo::Animal cat("tom", argc + 2, zoo::Kind::Cat);
    zoo::Parrot parrot(argc + 40);
    zoo::Tagged::made = 5;
    int count = argc + 1;
    long all = by_reference(cat, count, 100L);
    all += by_reference(parrot, count, 200L);
    cat.feed(2.25);
    std::pair<int, double> pair = both({argc, 7.75}, argc > 0);
    all += texts("short", "a text that is longer than a small string", "view");
    all += containers(argc + 3);
    Ring<int, 2> ring{};
    all += ring.push(5) + ring.push(argc);
    all += lambdas(argc);
    fprintf(stderr, "%ld %ld %d\n", all, (long)sink, pair.first);
    return 0;
}
