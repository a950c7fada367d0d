// All kernels of one target; included once a target with TARGET (its name). Each element type's
// kernels are compiled in turn.
#define JOIN3(a, b, c) a##_##b##_##c
#define JOIN(a, b, c) JOIN3(a, b, c)

#include "functions.inc.h"

#define ACT float
#define IS_BF16 0
#define NAME(x) JOIN(x, f32, TARGET)
#include "elements.inc.h"
#include "depthwise.inc.h"
#include "pointwise.inc.h"
#include "activations.inc.h"
#include "windows.inc.h"
#include "layer_norm.inc.h"
#include "table.inc.h"
#undef ACT
#undef IS_BF16
#undef NAME

#define ACT uint16_t
#define IS_BF16 1
#define NAME(x) JOIN(x, bf16, TARGET)
#include "elements.inc.h"
#include "depthwise.inc.h"
#include "pointwise.inc.h"
#include "activations.inc.h"
#include "windows.inc.h"
#include "layer_norm.inc.h"
#include "table.inc.h"
#undef ACT
#undef IS_BF16
#undef NAME

#undef JOIN
#undef JOIN3
