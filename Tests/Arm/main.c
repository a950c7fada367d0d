// Compares the kernels that this processor runs with the plain ones, and with what another kind of
// processor gave:
//
//   kernels            every set against the plain version
//   kernels write F    writes the results of the best set to F
//   kernels read F     compares those of the best set with F, to the last bit
//   kernels best       prints the name of the best set
//   kernels count SET  runs each kernel of a set once, for instructions to be counted
//
// Prints what was compared; ends with status 1 and the first difference.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"

static const char *const names[] = {"avx512bf16", "avx512", "avx2", "neonbf16", "neon", "generic"};

static results results_of(const rfm_kernels_t *set, enum type type, int dyadic) {
  results list = {0};
  run_table(type == FLOATS ? set->f32 : set->bf16, type, dyadic, &list);
  run_layers(type == FLOATS ? set->f32_layers : set->bf16_layers, type, dyadic, &list);
  return list;
}

static void compare_with_plain(void) {
  const rfm_kernels_t *plain = rfm_kernels_named("plain");
  for (enum type type = FLOATS; type <= BFLOATS; type++)
    for (int dyadic = 0; dyadic < 2; dyadic++) {
      const results expected = results_of(plain, type, dyadic);
      for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const rfm_kernels_t *set = rfm_kernels_named(names[i]);
        if (!set) continue;
        const results found = results_of(set, type, dyadic);
        compare(&found, &expected, dyadic);
        printf("%s, %s, %s numbers: %zu results as the plain kernels give them\n", names[i],
               type == FLOATS ? "float32" : "bfloat16", dyadic ? "dyadic" : "random", found.count);
      }
    }
}

// Not inlined, for the compiler does not know that arithmetic depends on when it is done.
__attribute__((noinline)) static int has_denormals(void) {
  volatile float least = 1e-40f;
  return least * 2 > 0;
}

// Denormals count as zero only between the two calls.
static void check_denormals(void) {
  const int before = has_denormals();
  const uint32_t state = rfm_flush_denormals();
  const int flushed = !has_denormals();
  rfm_restore_denormals(state);
  if (!before || !flushed || !has_denormals()) fail("denormals are not flushed, or stay so");
  printf("denormals are flushed, and restored\n");
}

// Everything that is the same wherever multiplies and adds are fused.
static results everything(const rfm_kernels_t *set) {
  results list = {0};
  for (enum type type = FLOATS; type <= BFLOATS; type++) {
    run_table(type == FLOATS ? set->f32 : set->bf16, type, 0, &list);
    run_layers(type == FLOATS ? set->f32_layers : set->bf16_layers, type, 0, &list);
  }
  run_functions(&list);
  return list;
}

// MARK: One call of each kernel of a set, between calls of `count_begins`

__attribute__((noinline)) void count_begins(void) { __asm__ volatile("" ::: "memory"); }

static void count_kernels(const rfm_kernels_t *set, enum type type) {
  enum { H = 8, W = 8, LD = 32, COUNT = H * W * LD };
  const rfm_kernel_table *t = type == FLOATS ? set->f32 : set->bf16;
  const rfm_layer_kernels *l = type == FLOATS ? set->f32_layers : set->bf16_layers;
  draws from = {1, 0};
  const rfm_activation in = {drawn(&from, type, COUNT), drawn(&from, FLOATS, LD), drawn(&from, FLOATS, LD), 0, LD};
  const void *d = drawn(&from, type, COUNT), *rows[5];
  for (int k = 0; k < 5; k++) rows[k] = d;
  const float *weights = drawn(&from, FLOATS, 25 * LD);
  void *out = elements(type, 25 * COUNT);
  uint16_t *bits = elements(WORDS, COUNT);
  uint8_t *winner = elements(BYTES, COUNT);
  const uint8_t *winners[5] = {winner, winner, winner, winner, winner};
  double *sums = elements(DOUBLES, 2 * LD);
  float *dw = elements(FLOATS, 25 * LD);
  const int32_t heights[5] = {5, 5, 5, 5, 5};
  const rfm_window w3 = {3, 1, 1, 1, COUNT / LD, COUNT / LD}, w5 = {5, 2, 2, 1, COUNT / LD, COUNT / LD / 2};
  rfm_view silu = {in.data, in.scale, in.shift, weights, 0, RFM_SILU, LD};
  rfm_view gelu = silu, relu = silu;
  gelu.activation = RFM_GELU, relu.activation = RFM_RELU;
#define COUNTED(call) (count_begins(), (call))
  COUNTED(t->depthwise_forward(&in, weights, out, bits, H, W, 0, H));
  COUNTED(t->depthwise_backward(&in, weights, d, 0, d, RFM_RESIDUAL_DENSE, out, sums, dw, H, W, 0, H));
  COUNTED(t->depthwise_backward_input(d, 0, weights, bits, in.scale, d, RFM_RESIDUAL_DENSE, out, LD, H, W, 0, H));
  COUNTED(t->statistics(d, H * W, LD, sums));
  COUNTED(t->gradient_sums(d, in.data, H * W, LD, sums));
  COUNTED(t->affine_gradient(d, in.data, weights, out, H * W, LD));
  COUNTED(t->pool_forward(&in, &in, out, winner, 0, H, W));
  COUNTED(t->pool_backward(d, winner, in.data, weights, out, LD, H, W, 0, H));
  COUNTED(t->gather_strided(&in, out, H, W));
  COUNTED(t->from_float(weights, out, 25 * LD));
  COUNTED(l->load(&silu, out, H * W));
  COUNTED(l->load_sum(&relu, &relu, out, H * W));
  COUNTED(l->mask(&relu, bits, H * W));
  COUNTED(l->mean(&silu, dw, H * W));
  COUNTED(l->unload(&gelu, 0, d, 0, 0, 1, out, sums, H * W));
  COUNTED(l->unload_gate(&silu, d, 0, out, dw, H * W));
  COUNTED(l->depthwise(rows, weights, out, &w5, LD));
  COUNTED(l->depthwise_input(rows, weights, out, &w5, LD));
  COUNTED(l->depthwise_weight(rows, d, dw, &w5, LD));
  COUNTED(l->patch(rows, out, &w3, LD));
  COUNTED(l->max_pool(rows, out, winner, &w3, LD));
  COUNTED(l->max_unpool(rows, winners, out, &w3, LD));
  COUNTED(l->average_pool(rows, out, &w3, 0, LD));
  COUNTED(l->average_unpool(rows, heights, out, &w3, 0, LD));
  COUNTED(l->layer_norm(d, weights, weights, 1e-3f, out, H * W, LD, LD));
  COUNTED(l->layer_norm_backward(in.data, d, weights, 1e-3f, out, sums, H * W, LD, LD));
  count_begins();
}

int main(int count, char **words) {
  const char *task = count > 1 ? words[1] : "";
  const rfm_kernels_t *best = rfm_kernels();
  if (!*task) {
    compare_with_plain();
    printf("%d packed bfloat16 multiplies are exact\n", check_multiplies());
    check_denormals();
  } else if (!strcmp(task, "write") && count == 3) {
    const results list = everything(best);
    write_results(words[2], &list);
    printf("%s: %zu results written\n", best->name, list.count);
  } else if (!strcmp(task, "read") && count == 3) {
    const results found = everything(best), expected = read_results(words[2]);
    // Vectors of another length add the channels of a pixel up in another order.
    compare_bits(&found, &expected, "layer_norm");
    printf("%s: %zu results, the same bits (layer norms: by rounding)\n", best->name, found.count);
  } else if (!strcmp(task, "best")) {
    puts(best->name);
  } else if (!strcmp(task, "count") && count == 3 && rfm_kernels_named(words[2])) {
    count_kernels(rfm_kernels_named(words[2]), FLOATS);
    count_kernels(rfm_kernels_named(words[2]), BFLOATS);
  } else {
    fail("usage: kernels [write FILE | read FILE | best | count SET]");
  }
  return 0;
}
