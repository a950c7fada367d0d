// dlsym's RTLD_DEFAULT.
#define _GNU_SOURCE
#include "COneDNN.h"

#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>

// Debian's oneDNN uses OpenMP. The number of threads is a property of the calling thread there; the
// function is looked up so that no OpenMP compiler is needed to link.
void rfm_onednn_single_thread(void) {
  void (*set)(int) = (void (*)(int))dlsym(RTLD_DEFAULT, "omp_set_num_threads");
  if (set) set(1);
}

int rfm_onednn_sgemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k,
                     const float *a, int64_t lda, const float *b, int64_t ldb, int accumulate,
                     float *c, int64_t ldc) {
  return dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1.0f, a, lda, b, ldb,
                    accumulate ? 1.0f : 0.0f, c, ldc);
}

// A thread's matmuls by shape: a primitive, its memory objects and its scratch memory, in a small
// open hash table that never shrinks (a network has a few dozen shapes).
typedef struct {
  int64_t key[8];
  dnnl_primitive_t primitive;
  dnnl_memory_t a, b, c, scratch;
} matmul;

enum { TABLE = 1024 };
static _Thread_local matmul *table;
static _Thread_local void *scratch_memory;
static _Thread_local size_t scratch_size;
static _Thread_local dnnl_stream_t stream;
static _Thread_local dnnl_engine_t engine;

// Releases 2 and 3 differ in two things: a memory's description is a plain structure in 2 and a handle
// to be destroyed in 3, and a multiply is described by itself in 2 before its primitive is.
#if DNNL_VERSION_MAJOR < 3
typedef const dnnl_memory_desc_t *description;
#else
typedef const_dnnl_memory_desc_t description;
#endif

static dnnl_status_t describe(dnnl_memory_desc_t *result, const dnnl_dims_t dims,
                              dnnl_data_type_t type, const dnnl_dims_t strides) {
#if DNNL_VERSION_MAJOR < 3
  return dnnl_memory_desc_init_by_strides(result, 2, dims, type, strides);
#else
  return dnnl_memory_desc_create_with_strides(result, 2, dims, type, strides);
#endif
}

static description view(const dnnl_memory_desc_t *memory) {
#if DNNL_VERSION_MAJOR < 3
  return memory;
#else
  return *memory;
#endif
}

static void forget(dnnl_memory_desc_t *memory) {
#if DNNL_VERSION_MAJOR < 3
  (void)memory;
#else
  if (*memory) dnnl_memory_desc_destroy(*memory);
#endif
}

static dnnl_status_t add_sum(dnnl_post_ops_t operations) {
#if DNNL_VERSION_MAJOR < 3
  return dnnl_post_ops_append_sum(operations, 1.0f);
#else
  return dnnl_post_ops_append_sum(operations, 1.0f, 0, dnnl_data_type_undef);
#endif
}

static dnnl_status_t plan(dnnl_primitive_desc_t *result, const dnnl_memory_desc_t *a,
                          const dnnl_memory_desc_t *b, const dnnl_memory_desc_t *c,
                          dnnl_primitive_attr_t attributes) {
#if DNNL_VERSION_MAJOR < 3
  dnnl_matmul_desc_t multiply;
  const dnnl_status_t status = dnnl_matmul_desc_init(&multiply, a, b, 0, c);
  return status ? status : dnnl_primitive_desc_create(result, &multiply, attributes, engine, 0);
#else
  return dnnl_matmul_primitive_desc_create(result, engine, *a, *b, 0, *c, attributes);
#endif
}

// Earlier entries point at the old memory only through handles that are set before each use.
static int reserve_scratch(size_t size) {
  if (size <= scratch_size) return dnnl_success;
  free(scratch_memory);
  scratch_memory = aligned_alloc(64, (size + 63) / 64 * 64);
  scratch_size = scratch_memory ? size : 0;
  return scratch_memory ? dnnl_success : dnnl_out_of_memory;
}

static int create(matmul *entry, int ta, int tb, int64_t m, int64_t n, int64_t k, int64_t lda,
                  int64_t ldb, int accumulate, int c_is_float, int64_t ldc) {
  dnnl_memory_desc_t da = {0}, db = {0}, dc = {0};
  const dnnl_dims_t dims_a = {m, k}, dims_b = {k, n}, dims_c = {m, n};
  const dnnl_dims_t sa = {ta ? 1 : lda, ta ? lda : 1}, sb = {tb ? 1 : ldb, tb ? ldb : 1};
  const dnnl_dims_t sc = {ldc, 1};
  dnnl_primitive_attr_t attributes = 0;
  dnnl_post_ops_t sums = 0;
  dnnl_primitive_desc_t primitive = 0;
  int status = describe(&da, dims_a, dnnl_bf16, sa);
  if (!status) status = describe(&db, dims_b, dnnl_bf16, sb);
  if (!status) status = describe(&dc, dims_c, c_is_float ? dnnl_f32 : dnnl_bf16, sc);
  if (!status) status = dnnl_primitive_attr_create(&attributes);
  if (!status)
    status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
  if (!status && accumulate) {
    status = dnnl_post_ops_create(&sums);
    if (!status) status = add_sum(sums);
    if (!status) status = dnnl_primitive_attr_set_post_ops(attributes, sums);
  }
  if (!status) status = plan(&primitive, &da, &db, &dc, attributes);
  if (!status) status = dnnl_primitive_create(&entry->primitive, primitive);
  if (!status) {
    const description scratch = dnnl_primitive_desc_query_md(primitive, dnnl_query_scratchpad_md, 0);
    status = reserve_scratch(dnnl_memory_desc_get_size(scratch));
    if (!status) status = dnnl_memory_create(&entry->scratch, scratch, engine, DNNL_MEMORY_NONE);
  }
  if (!status) status = dnnl_memory_create(&entry->a, view(&da), engine, DNNL_MEMORY_NONE);
  if (!status) status = dnnl_memory_create(&entry->b, view(&db), engine, DNNL_MEMORY_NONE);
  if (!status) status = dnnl_memory_create(&entry->c, view(&dc), engine, DNNL_MEMORY_NONE);
  if (primitive) dnnl_primitive_desc_destroy(primitive);
  if (sums) dnnl_post_ops_destroy(sums);
  if (attributes) dnnl_primitive_attr_destroy(attributes);
  forget(&da);
  forget(&db);
  forget(&dc);
  return status;
}

int rfm_onednn_bgemm(int ta, int tb, int64_t m, int64_t n, int64_t k, const uint16_t *a,
                     int64_t lda, const uint16_t *b, int64_t ldb, int accumulate, void *c,
                     int c_is_float, int64_t ldc) {
  if (!table) {
    table = calloc(TABLE, sizeof *table);
    if (!table) return dnnl_out_of_memory;
    int status = dnnl_engine_create(&engine, dnnl_cpu, 0);
    if (!status) status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    if (status) return status;
  }
  const int64_t key[8] = {m, n, k, lda, ldb, ldc, ta | tb << 1 | (accumulate != 0) << 2 |
                          (c_is_float != 0) << 3, 1};
  uint64_t hash = 1469598103934665603u;
  for (int i = 0; i < 7; i++) hash = (hash ^ (uint64_t)key[i]) * 1099511628211u;
  hash ^= hash >> 29;
  matmul *entry = 0;
  for (int probe = 0; probe < TABLE; probe++) {
    entry = &table[(hash + (uint64_t)probe) % TABLE];
    int same = 1;
    for (int i = 0; i < 8; i++) same &= entry->key[i] == key[i];
    if (same) break;
    if (!entry->key[7]) {
      const int status = create(entry, ta, tb, m, n, k, lda, ldb, accumulate, c_is_float, ldc);
      if (status) return status;
      for (int i = 0; i < 8; i++) entry->key[i] = key[i];
      break;
    }
    entry = 0;
  }
  if (!entry) return dnnl_out_of_memory;
  dnnl_memory_set_data_handle(entry->a, (void *)a);
  dnnl_memory_set_data_handle(entry->b, (void *)b);
  dnnl_memory_set_data_handle(entry->c, c);
  dnnl_memory_set_data_handle(entry->scratch, scratch_memory);
  const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, entry->a},
                                       {DNNL_ARG_WEIGHTS, entry->b},
                                       {DNNL_ARG_DST, entry->c},
                                       {DNNL_ARG_SCRATCHPAD, entry->scratch}};
  return dnnl_primitive_execute(entry->primitive, stream, 4, arguments);
}

const char *rfm_onednn_version(void) {
  static char text[32];
  const dnnl_version_t *v = dnnl_version();
  snprintf(text, sizeof text, "%d.%d.%d", v->major, v->minor, v->patch);
  return text;
}
