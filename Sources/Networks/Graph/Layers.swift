/// A map's size in pixels.
public struct MapSize: Sendable, Equatable {
  public var height: Int
  public var width: Int
  public var pixels: Int { height * width }

  /// After a 3×3 convolution without padding.
  func valid(stride: Int) -> MapSize {
    MapSize(height: (height - 3) / stride + 1, width: (width - 3) / stride + 1)
  }

  /// After pooling 3×3 with stride 2 and padding 1, or a 1×1 convolution with stride 2.
  var halved: MapSize { MapSize(height: (height - 1) / 2 + 1, width: (width - 1) / 2 + 1) }
}

/// Batch normalisation (Ioffe and Szegedy 2015) over `channels`.
///
/// It is applied lazily: z = scale·y + shift with scale = γ/√(σ² + ε), shift = β − μ·scale, by
/// whatever loads y.
public struct BatchNorm: Sendable {
  public let name: String
  public let channels: Int
  /// γ and β: indices into the detector's parameters.
  let weight: Int
  let bias: Int
  /// First element of the running mean in the detector's statistics; the variance follows it.
  let runningOffset: Int
  /// Place in the detector's list of batch norms.
  let index: Int

  var stride: Int { paddedChannels(channels) }
  /// Published names of the running statistics.
  public var runningMeanName: String { "\(name).running_mean" }
  public var runningVarianceName: String { "\(name).running_var" }

  /// ε, which keeps the deviation above zero.
  let epsilon: Double
  /// Weight of a batch's statistics in the running ones.
  let momentum: Double
}

/// A dense 3×3 convolution without padding or bias and its batch norm: the stem.
struct DenseConvolution: Sendable {
  let inputs: Int
  let outputs: Int
  let stride: Int
  let weight: Int
  let norm: BatchNorm
}

/// A separable convolution (depthwise 3×3, padding 1, then pointwise; neither has a bias) and its
/// batch norm: the unit that Xception (Chollet 2017) is made of.
struct SeparableUnit: Sendable {
  let inputs: Int
  let outputs: Int
  let depthwise: Int
  let pointwise: Int
  let norm: BatchNorm
  /// A ReLU stands before the depthwise convolution.
  let rectifiesInput: Bool
}

/// A 1×1 convolution with stride 2 and its batch norm: a block's shortcut.
struct Shortcut: Sendable {
  let inputs: Int
  let outputs: Int
  let weight: Int
  let norm: BatchNorm
}

/// Two or three separable units beside a shortcut. With a convolutional shortcut the block ends in
/// 3×3 max pooling with stride 2, otherwise the shortcut is the identity.
struct Block: Sendable {
  let name: String
  let units: [SeparableUnit]
  let shortcut: Shortcut?
}

/// Linear layer over averaged features.
struct Classifier: Sendable {
  let features: Int
  let weight: Int
  let bias: Int
}
