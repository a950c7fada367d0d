// Each kernel of CKernels on random inputs of several shapes.
#pragma once
#include "CKernels.h"
#include "results.h"

/// Those of rfm_kernel_table.
void run_table(const rfm_kernel_table *table, enum type type, int dyadic, results *list);
/// Those of rfm_layer_kernels. Activations that are not piecewise linear are left out of dyadic inputs.
void run_layers(const rfm_layer_kernels *layers, enum type type, int dyadic, results *list);
/// What stands in no table: long arrays, copies of channels and patches.
void run_functions(results *list);
/// Packed bfloat16 multiplies against whole numbers. Returns how many there were: none where this processor
/// has no bfloat16.
int check_multiplies(void);
