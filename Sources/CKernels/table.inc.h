// The tables of one target and element type.
static const rfm_kernel_table NAME(table) = {
    .depthwise_forward = NAME(depthwise_forward),
    .depthwise_backward = NAME(depthwise_backward),
    .depthwise_backward_input = NAME(depthwise_backward_input),
    .statistics = NAME(statistics),
    .gradient_sums = NAME(gradient_sums),
    .affine_gradient = NAME(affine_gradient),
    .pool_forward = NAME(pool_forward),
    .pool_backward = NAME(pool_backward),
    .gather_strided = NAME(gather_strided),
    .from_float = NAME(from_float),
    .to_float = NAME(to_float),
};

static const rfm_layer_kernels NAME(layers) = {
    .load = NAME(view_load),
    .load_sum = NAME(view_load_sum),
    .mask = NAME(view_mask),
    .mean = NAME(view_mean),
    .unload = NAME(view_unload),
    .unload_gate = NAME(view_unload_gate),
    .depthwise = NAME(window_depthwise),
    .depthwise_input = NAME(window_depthwise_input),
    .depthwise_weight = NAME(window_depthwise_weight),
    .patch = NAME(window_patch),
    .unpatch = NAME(window_unpatch),
    .max_pool = NAME(window_max_pool),
    .max_unpool = NAME(window_max_unpool),
    .average_pool = NAME(window_average_pool),
    .average_unpool = NAME(window_average_unpool),
    .layer_norm = NAME(layer_norm_forward),
    .layer_norm_backward = NAME(layer_norm_back),
};
