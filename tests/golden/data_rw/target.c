// cc: -g -O0
volatile int level;
volatile long table[2];

__attribute__((noinline)) void raise_level(void)
{
    level = level + 1;
}

__attribute__((noinline)) int look(void)
{
    return level + level;
}

int main(void)
{
    raise_level();
    raise_level();
    table[0] = look();
    table[1] = table[0];
    return table[1] != 4;
}
