// cc: -g -O0
// A stand-in for an editor, of whose *init* functions only some have an argc.
static int ready;
static void init_locale(void) { ready |= 1; }
static void common_init(int argc, char **argv) { ready |= argv[argc] == 0 ? 2 : 0; }
static void gui_init_check(int argc) { ready |= argc << 2; }
static int terminal_init(const char *name) { return name[0]; }
int main(int argc, char **argv)
{
  init_locale();
  common_init(argc, argv);
  gui_init_check(argc - 1);
  return terminal_init("xterm") == 0;
}
