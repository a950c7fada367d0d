#include "results.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

static void *allocated(size_t size) {
  void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
  if (!memory) fail("no memory");
  return memory;
}

uint32_t draw(draws *from) {
  from->state = from->state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(from->state >> 33);
}

float draw_number(draws *from) {
  if (from->dyadic) return (float)((int)(draw(from) % 33) - 16) / 8;
  return (float)draw(from) / 536870912.0f - 2;  // 31 bits, within ±2
}

static const size_t sizes[] = {[FLOATS] = 4, [BFLOATS] = 2, [DOUBLES] = 8, [WORDS] = 2, [BYTES] = 1};
// On either side; whole cache lines of any type.
enum { BEYOND = 2048 };

static void set(enum type type, void *at, size_t i, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  switch (type) {
    case FLOATS: ((float *)at)[i] = value; break;
    case DOUBLES: ((double *)at)[i] = value; break;
    case BFLOATS: ((uint16_t *)at)[i] = (uint16_t)(bits >> 16); break;  // cut off: any will do
    case WORDS: ((uint16_t *)at)[i] = 0; break;
    case BYTES: ((uint8_t *)at)[i] = 0; break;
  }
}

void *elements(enum type type, size_t count) {
  const size_t all = count + 2 * BEYOND;
  char *memory = allocated(all * sizes[type]);
  for (size_t i = 0; i < all; i++) set(type, memory, i, NAN);
  return memory + BEYOND * sizes[type];
}

void *drawn(draws *from, enum type type, size_t count) {
  void *memory = elements(type, count);
  for (size_t i = 0; i < count; i++) set(type, memory, i, draw_number(from));
  return memory;
}

static double value_at(enum type type, const void *from, size_t i) {
  switch (type) {
    case FLOATS: return ((const float *)from)[i];
    case DOUBLES: return ((const double *)from)[i];
    case WORDS: return ((const uint16_t *)from)[i];
    case BYTES: return ((const uint8_t *)from)[i];
    case BFLOATS: {
      const uint32_t bits = (uint32_t)((const uint16_t *)from)[i] << 16;
      float value;
      memcpy(&value, &bits, sizeof value);
      return value;
    }
  }
  return NAN;
}

static void append(results *list, result item) {
  // Room for one, two, four, … of them.
  if ((list->count & (list->count - 1)) == 0) {
    list->items = realloc(list->items, (list->count ? 2 * list->count : 1) * sizeof item);
    if (!list->items) fail("no memory");
  }
  list->items[list->count++] = item;
}

void keep(results *list, enum accuracy accuracy, enum type type, const void *values, size_t count,
          const char *name, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, name);
  vsnprintf(text, sizeof text, name, arguments);
  va_end(arguments);
  result item = {strdup(text), accuracy, type, count, allocated(count * sizeof(double) + 1)};
  for (size_t i = 0; i < count; i++) item.values[i] = value_at(type, values, i);
  append(list, item);
}

// Whether two values are the same, the sign of zero included; any NaN is as good as another.
static int is_same(double a, double b) {
  return isnan(a) || isnan(b) ? isnan(a) && isnan(b) : memcmp(&a, &b, sizeof a) == 0;
}

static void check_names(const results *found, const results *expected, size_t i) {
  if (strcmp(found->items[i].name, expected->items[i].name) ||
      found->items[i].count != expected->items[i].count)
    fail("%s stands against %s", found->items[i].name, expected->items[i].name);
}

static void check_equal(const result *found, const result *expected, int signs) {
  for (size_t k = 0; k < found->count; k++) {
    const double a = found->values[k], b = expected->values[k];
    if (!is_same(a, b) && (signs || a != b))
      fail("%s: element %zu is %.9g, expected %.9g", found->name, k, a, b);
  }
}

// By the relative L2 distance, as in KernelPathTests. What is stored as bfloat16 may fall to the other
// neighbour here and there: where there are few elements each is held to that, as in WindowKernelTests.
static void check_near(const result *found, const result *expected) {
  const int narrow = found->type == BFLOATS, few = found->count < 4096;
  double difference = 0, norm = 0;
  for (size_t k = 0; k < found->count; k++) {
    const double a = found->values[k], b = expected->values[k];
    if ((isnan(a) && isnan(b)) || (isinf(b) && a == b)) continue;
    difference += (a - b) * (a - b);
    norm += b * b;
    if (narrow && !(fabs(a - b) <= 8e-3 * fmax(1, fabs(b))))
      fail("%s: element %zu is %.9g, expected %.9g", found->name, k, a, b);
  }
  if (narrow && few) return;
  const double distance = sqrt(norm > 0 ? difference / norm : difference);
  if (!(distance < (narrow ? 1e-3 : 2e-6))) fail("%s: relative distance %.3g", found->name, distance);
}

void compare(const results *found, const results *expected, int dyadic) {
  if (found->count != expected->count) fail("%zu results, not %zu", found->count, expected->count);
  for (size_t i = 0; i < found->count; i++) {
    check_names(found, expected, i);
    const result *a = &found->items[i], *b = &expected->items[i];
    if (a->accuracy == EXACT || (a->accuracy == SUMS && dyadic)) check_equal(a, b, 0);
    else check_near(a, b);
  }
}

void compare_bits(const results *found, const results *expected, const char *tolerated) {
  if (found->count != expected->count) fail("%zu results, not %zu", found->count, expected->count);
  for (size_t i = 0; i < found->count; i++) {
    check_names(found, expected, i);
    const result *a = &found->items[i], *b = &expected->items[i];
    if (tolerated && strstr(a->name, tolerated)) check_near(a, b);
    else check_equal(a, b, 1);
  }
}

// MARK: Files: for each result its name's length, the name, accuracy, type, count, and values.

static FILE *opened(const char *path, const char *mode) {
  FILE *file = fopen(path, mode);
  if (!file) fail("%s can't be opened", path);
  return file;
}

void write_results(const char *path, const results *list) {
  FILE *file = opened(path, "wb");
  for (size_t i = 0; i < list->count; i++) {
    const result *item = &list->items[i];
    const uint64_t head[4] = {strlen(item->name), item->accuracy, item->type, item->count};
    fwrite(head, sizeof head, 1, file);
    fwrite(item->name, 1, head[0], file);
    fwrite(item->values, sizeof(double), item->count, file);
  }
  if (ferror(file) || fclose(file)) fail("%s can't be written", path);
}

results read_results(const char *path) {
  FILE *file = opened(path, "rb");
  results list = {0};
  uint64_t head[4];
  while (fread(head, sizeof head, 1, file) == 1) {
    result item = {calloc(1, head[0] + 1), (enum accuracy)head[1], (enum type)head[2], head[3],
                   allocated(head[3] * sizeof(double) + 1)};
    if (!item.name || fread(item.name, 1, head[0], file) != head[0] ||
        fread(item.values, sizeof(double), item.count, file) != item.count)
      fail("%s ends early", path);
    append(&list, item);
  }
  fclose(file);
  return list;
}
