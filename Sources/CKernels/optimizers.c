#include "optimizers.h"

#include "clones.h"

RFM_CLONES
void rfm_adam_update(
    float *restrict weights, const float *restrict gradients, float *restrict means,
    float *restrict squares, size_t count, rfm_adam_step step) {
  for (size_t i = 0; i < count; i++) {
    float w = weights[i] * step.kept;                                     // w ← kept·w
    float g = gradients[i] * step.gradient_scale + step.coupled_decay * w;  // g ← g + λw
    float m = means[i] + step.one_minus_beta1 * (g - means[i]);           // mean of gradients
    float v = step.beta2 * squares[i] + step.one_minus_beta2 * (g * g);   // mean of squares
    means[i] = m;
    squares[i] = v;
    // The builtin, unlike sqrtf, does not set errno: so the loop becomes vector instructions.
    float root = __builtin_elementwise_sqrt(v) / step.root_correction2;
    weights[i] = w - step.step_size * (m / (root + step.epsilon));
  }
}

RFM_CLONES
void rfm_sgd_update(
    float *restrict weights, const float *restrict gradients, float *restrict velocities,
    size_t count, rfm_sgd_step step) {
  // What the velocity and the gradient each count in the update.
  const float of_velocity = step.nesterov ? step.momentum : 1.0f;
  const float of_gradient = step.nesterov ? 1.0f : 0.0f;
  for (size_t i = 0; i < count; i++) {
    float g = gradients[i] * step.gradient_scale + step.decay * weights[i];  // g ← g + λw
    float u = step.momentum * velocities[i] + g;                             // u ← μu + g
    velocities[i] = u;
    weights[i] -= step.learning_rate * (of_gradient * g + of_velocity * u);
  }
}
