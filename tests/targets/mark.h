/* Markers as <sys/sdt.h> leaves them in a program, for machines that do not have that header: a nop, and a note with its
   address, a base to find out by how much it was moved, the address of a counter (0 for none), and three strings. */
#define MARK(provider, name, counter, operands, ...)                                      \
  __asm__ volatile("990: nop\n"                                                           \
                   ".pushsection .note.stapsdt,\"?\",\"note\"\n"                          \
                   ".balign 4\n"                                                          \
                   ".4byte 992f - 991f, 994f - 993f, 3\n"                                 \
                   "991: .asciz \"stapsdt\"\n"                                            \
                   "992: .balign 4\n"                                                     \
                   "993: .8byte 990b, _.stapsdt.base, " counter "\n"                      \
                   ".asciz \"" #provider "\", \"" #name "\", \"" operands "\"\n"          \
                   "994: .balign 4\n"                                                     \
                   ".popsection\n"                                                        \
                   ".ifndef _.stapsdt.base\n"                                             \
                   ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
                   ".weak _.stapsdt.base\n"                                               \
                   ".hidden _.stapsdt.base\n"                                             \
                   "_.stapsdt.base: .space 1\n"                                           \
                   ".size _.stapsdt.base, 1\n"                                            \
                   ".popsection\n"                                                        \
                   ".endif\n"                                                             \
                   ::__VA_ARGS__)
