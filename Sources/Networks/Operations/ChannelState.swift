import CKernels
import Tensors

/// What scales and shifts a map's channels during a pass: z = scale·y + shift.
///
/// Backward, dy is an affine map of (dz, y): dy = a·dz + b·y + c, and the parameters' gradients come from
/// two sums, Σdz and Σdz·y:
///
/// | | scale | shift | dy | gradients |
/// | --- | --- | --- | --- | --- |
/// | batch norm | γ/√(σ²+ε) | β − μ·scale | see ``BatchNormState`` | dβ = Σdz, dγ = Σdz·ŷ |
/// | bias | 1 | bias | dz | Σdz |
/// | factor | γ | γ·bias | γ·dz | dγ = Σdz·(y + bias), γ·Σdz |
///
/// With running statistics a batch norm, too, is but a factor and a bias, and dy = scale·dz.
final class ChannelState: @unchecked Sendable {
  let affine: LoweredNetwork.Affine
  let channels: Int
  let stride: Int
  private let detector: Detector
  /// A batch norm during training.
  private let norm: BatchNormState?
  private let memory: AlignedMemory
  private let ownScale: UnsafeMutablePointer<Float>
  /// Each task's two sums, (tasks, 2, stride).
  private let partial: UnsafeMutablePointer<Double>

  var scale: UnsafePointer<Float> { UnsafePointer(norm?.scale ?? ownScale) }
  var shift: UnsafePointer<Float> { UnsafePointer(norm?.shift ?? ownScale + stride) }
  /// a, b, c, each `stride` long.
  var coefficients: UnsafePointer<Float> {
    UnsafePointer(norm?.coefficients ?? ownScale + 2 * stride)
  }
  /// dy is dz, so that nothing has to be computed.
  var isShiftOnly: Bool { if case .bias = affine.kind { true } else { false } }
  /// dy depends on y.
  var needsOutput: Bool { norm != nil }

  /// - Parameter tasks: whose sums are kept apart; 0: for running statistics.
  init(_ affine: LoweredNetwork.Affine, channels: Int, detector: Detector, tasks: Int) {
    self.affine = affine
    self.channels = channels
    self.detector = detector
    stride = paddedChannels(channels)
    memory = AlignedMemory(size: stride * (5 * 4 + 2 * 8 * tasks))
    ownScale = memory.floats()
    partial = memory.doubles(at: stride * 20)
    if tasks > 0, case .batchNorm(let norm, _) = affine.kind {
      self.norm = BatchNormState(norm)
    } else {
      norm = nil
    }
  }

  /// A task's sums, set to 0.
  func clearedSums(_ task: Int) -> UnsafeMutablePointer<Double> {
    let own = sums(task)
    own.update(repeating: 0, count: 2 * stride)
    return own
  }

  func sums(_ task: Int) -> UnsafeMutablePointer<Double> { partial + task * 2 * stride }

  /// Takes the parameters as they are, and the running statistics.
  func refresh() {
    let (scale, shift) = (ownScale, ownScale + stride)
    switch affine.kind {
    case .bias(let bias):
      let bias = detector.value(bias)
      for c in 0..<channels { (scale[c], shift[c]) = (1, bias[c]) }
    case .scaled(let factor, let bias):
      let factor = detector.value(factor)
      let bias = bias.map { detector.value($0) }
      for c in 0..<channels { (scale[c], shift[c]) = (factor[c], factor[c] * (bias?[c] ?? 0)) }
    case .batchNorm(let norm, let bias):
      // During training they are those of the batch.
      if self.norm != nil { return }
      let gamma = detector.value(norm.weight)
      let beta = detector.value(norm.bias)
      let mean = detector.runningMean(norm)
      let variance = detector.runningVariance(norm)
      let bias = bias.map { detector.value($0) }
      for c in 0..<channels {
        let factor = Double(gamma[c]) / (Double(variance[c]) + norm.epsilon).squareRoot()
        scale[c] = Float(factor)
        shift[c] = Float(Double(beta[c]) + (Double(bias?[c] ?? 0) - Double(mean[c])) * factor)
      }
    }
    (ownScale + 2 * stride).update(from: scale, count: stride)
  }

  /// A batch norm's statistics from the tasks' sums of y and y².
  func finishForward(tasks: Int, pixels: Int, _ reduction: StatisticsReduction?) throws {
    guard let norm, case .batchNorm(_, let bias) = affine.kind else { return }
    try norm.finishForward(
      partial, tasks: tasks, pitch: 2 * stride, pixels: pixels, detector, reduction,
      movedBy: bias.map { UnsafePointer(detector.value($0)) })
  }

  /// Gradients of the parameters from the tasks' sums of dz and dz·y, and what dy is.
  func finishBackward(
    tasks: Int, pixels: Int, _ gradients: GradientArena, _ reduction: StatisticsReduction?
  ) throws {
    if let norm {
      // A bias before a batch norm has no gradient: the mean takes it away.
      try norm.finishBackward(
        partial, tasks: tasks, pitch: 2 * stride, pixels: pixels, detector, gradients, reduction)
      return
    }
    func offset(_ parameter: Int) -> Int { detector.parameters[parameter].offset }
    for c in 0..<channels {
      var (sum, product) = (0.0, 0.0)
      for task in 0..<tasks {
        sum += sums(task)[c]
        product += sums(task)[stride + c]
      }
      switch affine.kind {
      case .bias(let bias): gradients.add(sum, at: offset(bias) + c)
      case .scaled(let factor, let bias):
        let shift = bias.map { Double(detector.value($0)[c]) } ?? 0
        gradients.add(product + shift * sum, at: offset(factor) + c)
        if let bias {
          gradients.add(Double(detector.value(factor)[c]) * sum, at: offset(bias) + c)
        }
      case .batchNorm: break
      }
    }
  }
}
