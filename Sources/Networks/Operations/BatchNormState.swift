import Tensors

/// Adds values up over the ranks, in place: how synchronized batch norm sees the global batch.
public struct StatisticsReduction: Sendable {
  /// Ranks whose batches are normalised together.
  public let ranks: Int
  let sum: @Sendable (UnsafeMutableBufferPointer<Double>) throws -> Void

  public init(
    ranks: Int, sum: @escaping @Sendable (UnsafeMutableBufferPointer<Double>) throws -> Void
  ) {
    self.ranks = ranks
    self.sum = sum
  }
}

/// A batch norm during training: the batch's statistics, and what its neighbours load.
///
/// Forward, with N pixels (of all ranks if synchronized):
/// μ = Σy/N, σ² = Σy²/N − μ², z = γ·(y − μ)/√(σ²+ε) + β = scale·y + shift.
///
/// Backward is an affine map of (dz, y), with ŷ = (y − μ)/√(σ²+ε):
/// dβ = Σdz, dγ = Σdz·ŷ, dy = scale·(dz − dβ/N − ŷ·dγ/N) = a·dz + b·y + c.
final class BatchNormState: @unchecked Sendable {
  let norm: BatchNorm
  let scale: UnsafeMutablePointer<Float>
  let shift: UnsafeMutablePointer<Float>
  /// a, b, c, each `stride` long.
  let coefficients: UnsafeMutablePointer<Float>
  private let mean: UnsafeMutablePointer<Double>
  private let inverseDeviation: UnsafeMutablePointer<Double>
  /// (2, stride) sums, reduced over ranks.
  private let sums: UnsafeMutablePointer<Double>
  private let memory: AlignedMemory

  init(_ norm: BatchNorm) {
    self.norm = norm
    let stride = norm.stride
    memory = AlignedMemory(size: stride * (4 * 8 + 5 * 4))
    mean = memory.doubles()
    inverseDeviation = mean + stride
    sums = mean + 2 * stride
    scale = memory.floats(at: stride * 32)
    shift = scale + stride
    coefficients = scale + 2 * stride
  }

  /// Adds the tasks' partial sums in task order, so that the thread count leaves no trace.
  private func combine(_ partial: UnsafePointer<Double>, tasks: Int, pitch: Int) {
    let count = 2 * norm.stride
    sums.update(repeating: 0, count: count)
    for task in 0..<tasks {
      let part = partial + task * pitch
      for c in 0..<count { sums[c] += part[c] }
    }
  }

  /// - Parameters:
  ///   - partial: (tasks, pitch) doubles, each task's Σy then Σy².
  ///   - pixels: summed on this rank.
  ///   - bias: what the convolution would have added to y; it moves the running mean and nothing else.
  func finishForward(
    _ partial: UnsafePointer<Double>, tasks: Int, pitch: Int, pixels: Int, _ detector: Detector,
    _ reduction: StatisticsReduction?, movedBy bias: UnsafePointer<Float>? = nil
  ) throws {
    combine(partial, tasks: tasks, pitch: pitch)
    let stride = norm.stride
    var count = Double(pixels)
    if let reduction {
      try reduction.sum(UnsafeMutableBufferPointer(start: sums, count: 2 * stride))
      count *= Double(reduction.ranks)
    }
    let gamma = detector.value(norm.weight)
    let beta = detector.value(norm.bias)
    let runningMean = detector.runningMean(norm)
    let runningVariance = detector.runningVariance(norm)
    let momentum = norm.momentum
    // The running variance is the unbiased one, as in PyTorch.
    let unbias = count > 1 ? count / (count - 1) : 1
    for c in 0..<norm.channels {
      let mu = sums[c] / count
      let variance = max(0, sums[stride + c] / count - mu * mu)
      // NaN must not hide behind max.
      let checked = sums[stride + c].isNaN ? Double.nan : variance
      let inverse = 1 / (checked + norm.epsilon).squareRoot()
      mean[c] = mu
      inverseDeviation[c] = inverse
      let factor = Double(gamma[c]) * inverse
      scale[c] = Float(factor)
      shift[c] = Float(Double(beta[c]) - mu * factor)
      let seen = mu + Double(bias?[c] ?? 0)
      runningMean[c] = Float((1 - momentum) * Double(runningMean[c]) + momentum * seen)
      runningVariance[c] = Float(
        (1 - momentum) * Double(runningVariance[c]) + momentum * checked * unbias)
    }
  }

  /// - Parameter partial: each task's Σdz then Σdz·y.
  func finishBackward(
    _ partial: UnsafePointer<Double>, tasks: Int, pitch: Int, pixels: Int, _ detector: Detector,
    _ gradients: GradientArena, _ reduction: StatisticsReduction?
  ) throws {
    combine(partial, tasks: tasks, pitch: pitch)
    let stride = norm.stride
    let gamma = detector.value(norm.weight)
    let (gammaOffset, betaOffset) = (
      detector.parameters[norm.weight].offset, detector.parameters[norm.bias].offset
    )
    for c in 0..<norm.channels {
      let dGamma = inverseDeviation[c] * (sums[stride + c] - mean[c] * sums[c])
      gradients.add(dGamma, at: gammaOffset + c)
      gradients.add(sums[c], at: betaOffset + c)
    }
    var count = Double(pixels)
    if let reduction {
      try reduction.sum(UnsafeMutableBufferPointer(start: sums, count: 2 * stride))
      count *= Double(reduction.ranks)
    }
    for c in 0..<norm.channels {
      let inverse = inverseDeviation[c]
      let dGamma = inverse * (sums[stride + c] - mean[c] * sums[c])
      let a = Double(gamma[c]) * inverse
      let b = -a * inverse * dGamma / count
      coefficients[c] = Float(a)
      coefficients[stride + c] = Float(b)
      coefficients[2 * stride + c] = Float(-a * sums[c] / count - b * mean[c])
    }
  }
}
