// cc: -g -O0
#include <stddef.h>
struct pair { int a, b; };
struct fat { long v[4]; };
enum mode { OFF, ON = 9 };
static struct pair store = {1, 2};
int r_int(void) { return -7; }
unsigned r_uint(void) { return 4000000000u; }
long r_long(void) { return -5000000000L; }
unsigned long r_ulong(void) { return 18000000000000000000UL; }
char r_char(void) { return 'Z'; }
signed char r_schar(void) { return -2; }
unsigned short r_ushort(void) { return 65535; }
_Bool r_bool(void) { return 1; }
enum mode r_enum(void) { return ON; }
char *r_str(void) { return "text"; }
char *r_null(void) { return NULL; }
struct pair *r_ptr(void) { return &store; }
struct pair r_pair(void) { struct pair p = {3, 4}; return p; }
struct fat r_fat(void) { struct fat f = {{1, 2, 3, 4}}; return f; }
float r_float(void) { return 1.5f; }
double r_double(void) { return -2.5; }
void r_void(void) { }
int r_neg(int n) { n = n + 1; return -n; }
int main(void)
{
  r_int(); r_uint(); r_long(); r_ulong(); r_char(); r_schar(); r_ushort(); r_bool(); r_enum();
  r_str(); r_null(); r_ptr(); r_pair(); r_fat(); r_float(); r_double(); r_void(); r_neg(41);
  return 0;
}
