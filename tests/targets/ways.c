// cc: -O1 -no-pie
// Functions whose first instructions are passed in different ways when they are probed. Only `copied` is called.
int data = 5;

__attribute__((noinline)) int copied(int n) { return n + data; }

__asm__(".globl stepped, own, refused\n"
        ".type stepped, @function\nstepped: mov data(%eip), %eax\n  ret\n.size stepped, . - stepped\n"
        ".type own, @function\nown: int3\n  ret\n.size own, . - own\n"
        ".type refused, @function\nrefused: .byte 0xf1\n  ret\n.size refused, . - refused\n");

int main(void) { return copied(-5); }
