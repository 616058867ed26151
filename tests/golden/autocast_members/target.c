// cc: -g -O0
/* A list and an array to be walked from a script. */
struct node {
    int value;
    struct node *next;
    const char *name;
};

__attribute__((noinline)) int walk(struct node *list, int *row) {
    int sum = row[0];
    for (struct node *n = list; n; n = n->next)
        sum += n->value;
    return sum;
}

int main(void) {
    struct node c = {3, 0, "third"}, b = {2, &c, "second"}, a = {1, &b, "first"};
    int row[3] = {10, 20, 30};
    return walk(&a, row) == 16 ? 0 : 1;
}
