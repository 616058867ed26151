// cc: -g -O0
int a, b, c, d;

int main(void)
{
    a = b = c = d = 1;
    return 0;
}
