// The table of one target and element type.
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
