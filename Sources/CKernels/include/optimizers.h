#pragma once

#include <stddef.h>

// Updates of weights. Each works on a range of `count` elements, element by element: how a whole is
// parted into ranges, and by how many threads, does not change a bit of the result. Nothing is
// allocated. The arrays must not overlap.

/// The numbers of one step of Adam or AdamW. In the formulas g is the gradient times
/// `gradient_scale`, t the number of the step, from 1.
typedef struct {
  float gradient_scale;      ///< what gradients are multiplied by first: 1 / (ranks · batches)
  float one_minus_beta1;     ///< 1 − β₁
  float beta2;               ///< β₂
  float one_minus_beta2;     ///< 1 − β₂
  float step_size;           ///< η / (1 − β₁ᵗ)
  float root_correction2;    ///< √(1 − β₂ᵗ)
  float epsilon;             ///< ε
  float coupled_decay;       ///< λ added to the gradient as λw (Adam); 0 for AdamW
  float kept;                ///< what the weight is multiplied by first: 1 − ηλ (AdamW); 1 for Adam
} rfm_adam_step;

/// w ← kept·w,  g ← g + λw,  m ← m + (1 − β₁)(g − m),  v ← β₂v + (1 − β₂)g²,
/// w ← w − η/(1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε).
///
/// Kingma and Ba, "Adam", ICLR 2015; Loshchilov and Hutter, "Decoupled weight decay
/// regularization", ICLR 2019. The places of ε and of the corrections are PyTorch's.
void rfm_adam_update(
    float *weights, const float *gradients, float *means, float *squares, size_t count,
    rfm_adam_step step);

/// The numbers of one step of SGD with momentum.
typedef struct {
  float gradient_scale;  ///< what gradients are multiplied by first
  float learning_rate;   ///< η
  float momentum;        ///< μ
  float decay;           ///< λ
  int nesterov;          ///< whether to look ahead
} rfm_sgd_step;

/// g ← g + λw,  u ← μu + g,  w ← w − η·u, or with Nesterov's w ← w − η(g + μu).
/// Velocities begin at zero.
///
/// Sutskever et al., "On the importance of initialization and momentum in deep learning",
/// ICML 2013, with the learning rate outside of the velocity, as in PyTorch.
void rfm_sgd_update(
    float *weights, const float *gradients, float *velocities, size_t count, rfm_sgd_step step);
