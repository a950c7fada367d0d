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
