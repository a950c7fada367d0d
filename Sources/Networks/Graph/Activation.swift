import CKernels

/// What stands between a layer's output and whoever reads it, element by element.
enum Activation: Sendable, Equatable {
  case identity
  case relu
  /// min(max(z, 0), 6).
  case relu6
  /// `slope`·z below 0.
  case leakyReLU(slope: Float)
  /// z·σ(z), also called Swish.
  case silu
  /// z·Φ(z), by the error function.
  case gelu
  /// z·min(max(z + 3, 0), 6)/6.
  case hardSwish
  case sigmoid

  var kernel: Int32 {
    switch self {
    case .identity: Int32(RFM_IDENTITY)
    case .relu: Int32(RFM_RELU)
    case .relu6: Int32(RFM_RELU6)
    case .leakyReLU: Int32(RFM_LEAKY_RELU)
    case .silu: Int32(RFM_SILU)
    case .gelu: Int32(RFM_GELU)
    case .hardSwish: Int32(RFM_HARD_SWISH)
    case .sigmoid: Int32(RFM_SIGMOID)
    }
  }

  var slope: Float { if case .leakyReLU(let slope) = self { slope } else { 0 } }

  /// Its slope has two values, so that one bit an element tells all that the way back needs.
  var isPiecewiseLinear: Bool {
    switch self {
    case .relu, .relu6, .leakyReLU: true
    case .identity, .silu, .gelu, .hardSwish, .sigmoid: false
    }
  }
}
