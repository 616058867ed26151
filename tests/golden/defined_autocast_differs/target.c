// cc: -g -O0
struct box { int width; };
struct label { const char *name; };

int of_box(struct box *it) { return it->width; }

int of_label(struct label *it) { return it->name[0]; }

int main(void)
{
    struct box box = {7};
    struct label label = {"seven"};
    return of_box(&box) + of_label(&label) == 0;
}
