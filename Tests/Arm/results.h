// What kernels gave, by name, to be compared with what others gave.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// How a result may differ from the plain version's of the same inputs.
enum accuracy {
  EXACT,    // not at all: masks, places, copies
  SUMS,     // not at all where the inputs are dyadic, else by rounding
  ROUNDED,  // by rounding
};
enum type { FLOATS, BFLOATS, DOUBLES, WORDS, BYTES };

typedef struct {
  char *name;
  enum accuracy accuracy;
  enum type type;
  size_t count;
  double *values;
} result;

typedef struct {
  result *items;
  size_t count;
} results;

/// Inputs, the same wherever this is compiled. Dyadic ones are multiples of 1/8 within ±2: sums of their
/// products are exact in float32 in any order, with or without fused multiply-adds.
typedef struct {
  uint64_t state;
  int dyadic;
} draws;

uint32_t draw(draws *from);
float draw_number(draws *from);
/// Memory for `count` elements with NaN in them and before and behind, so that what is read out of bounds
/// or not written shows. It is never given back.
void *elements(enum type type, size_t count);
/// The same with draws in it.
void *drawn(draws *from, enum type type, size_t count);

/// Keeps a copy. The name is printf's.
void keep(results *list, enum accuracy accuracy, enum type type, const void *values, size_t count,
          const char *name, ...) __attribute__((format(printf, 6, 7)));

/// Ends the program at the first difference that the accuracy of its result does not allow.
void compare(const results *found, const results *expected, int dyadic);
/// Ends the program at the first bit that differs; where only rounding may, `tolerated` names a part of
/// the result's name, or is null.
void compare_bits(const results *found, const results *expected, const char *tolerated);

void write_results(const char *path, const results *list);
results read_results(const char *path);

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
