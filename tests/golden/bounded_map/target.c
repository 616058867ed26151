// cc: -g -O1 -pthread
// Five calls; the status says whether they computed what they should.
__attribute__((noipa)) long called(long n) { return n * 3 + 1; }

int main(void) {
    long sum = 0;
    for (long i = 0; i < 5; i++) sum += called(i);
    return sum != 35;
}
