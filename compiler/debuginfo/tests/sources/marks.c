/* Markers as <sys/sdt.h> leaves them, labels, and calls of functions of another file. */
#include <stdlib.h>
#include <string.h>

__attribute__((section(".probes"))) volatile unsigned short sold_semaphore;
int level = 40;

#define MARK(name, counter, operands, ...)                                           \
  __asm__ volatile("990: nop\n"                                                      \
                   ".pushsection .note.stapsdt,\"?\",\"note\"\n"                     \
                   ".balign 4\n"                                                     \
                   ".4byte 992f - 991f, 994f - 993f, 3\n"                            \
                   "991: .asciz \"stapsdt\"\n"                                       \
                   "992: .balign 4\n"                                                \
                   "993: .8byte 990b, base_of_markers, " counter "\n"                \
                   ".asciz \"shop\", \"" #name "\", \"" operands "\"\n"              \
                   "994: .balign 4\n"                                                \
                   ".popsection\n"                                                   \
                   ".ifndef base_of_markers\n"                                       \
                   ".pushsection .stapsdt.base,\"a\",@progbits\n"                    \
                   "base_of_markers: .space 1\n"                                     \
                   ".popsection\n"                                                   \
                   ".endif\n"                                                        \
                   ::__VA_ARGS__)

int sell(int count, const char *name)
{
  int sold = 0;
again:
  MARK(sold, "sold_semaphore", "-4@%0 8@%1 4@level(%%rip) 8@4(%1,%2,8)", "r"(count), "r"(name), "r"(2L));
  sold += count;
  if (--count > 0)
    goto again;
  MARK(empty, "0", "");
  return sold;
}

int main(int argc, char **argv)
{
  const char *name = getenv("NAME");
  return name ? sell(argc, name) + (int)strtol(argv[0], 0, 10) : 0;
}
