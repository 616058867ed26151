// cc: -g -O0
int counter;
_Thread_local int of_a_thread;
char big[64];

int main(void)
{
    counter = of_a_thread + big[0];
    return counter;
}
