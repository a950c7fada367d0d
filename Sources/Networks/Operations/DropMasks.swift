import Tensors

/// What a training pass leaves out of each of its images: inputs of the head (dropout, Srivastava et al.
/// 2014), and residual branches (stochastic depth, Huang et al. 2016).
///
/// Both are inverted: x·m with m = 0 or 1/(1 − rate), so that nothing is done elsewhere. Element c of the
/// head's inputs, and branch b in forward order, take the c-th and the b-th draw of the sample's streams
/// `dropout` and `dropPath`, and stay where the draw is at least the rate.
final class DropMasks: @unchecked Sendable {
  private let batch: Int
  private let features: Int
  private let stride: Int
  private let dropout: Double
  private let rates: [Double]
  private let memory: AlignedMemory
  /// (batch, stride) of the head's inputs.
  private let inputFactors: UnsafeMutablePointer<Float>
  /// A row of zeros, then a row of 1/(1 − rate) for each branch.
  private let rows: UnsafeMutablePointer<Float>
  private let widest: Int
  /// (batch, branches)
  private let isKept: UnsafeMutableBufferPointer<Bool>

  /// nil where nothing is left out.
  ///
  /// - Parameters:
  ///   - features: inputs of the head.
  ///   - branches: each one's share of the setting.
  ///   - widest: most channels of a branch, padded.
  init?(
    _ regularisation: Regularisation, features: Int, branches: [Double], widest: Int, batch: Int
  ) {
    let rates = branches.map { $0 * regularisation.dropPath }
    guard regularisation.dropout > 0 || rates.contains(where: { $0 > 0 }) else { return nil }
    self.batch = batch
    self.features = features
    self.widest = widest
    self.rates = rates
    dropout = regularisation.dropout
    stride = paddedChannels(features)
    let count = dropout > 0 ? batch * stride : 0
    memory = AlignedMemory(size: 4 * (count + (rates.count + 1) * widest))
    inputFactors = memory.floats()
    rows = memory.floats() + count
    for (branch, rate) in rates.enumerated() {
      let factor = Float(1 / (1 - rate))
      for c in 0..<widest { rows[(branch + 1) * widest + c] = factor }
    }
    isKept = .allocate(capacity: batch * rates.count)
    isKept.initialize(repeating: true)
  }

  deinit { isKept.deallocate() }

  /// Draws for the images of a batch.
  func draw(_ keys: SampleKeys?) {
    guard let keys, keys.visits.count >= batch, keys.identifiers.count >= batch else {
      preconditionFailure("what is left out of an image is drawn from its own stream")
    }
    for image in 0..<batch {
      func stream(_ purpose: RandomPurpose) -> CounterGenerator {
        CounterGenerator(
          seed: keys.seed, epoch: UInt64(keys.visits[image]),
          sample: UInt64(keys.identifiers[image]), purpose: purpose)
      }
      if dropout > 0 {
        var draws = stream(.dropout)
        let kept = Float(1 / (1 - dropout))
        let factors = inputFactors + image * stride
        for c in 0..<features { factors[c] = Double(draws.uniform()) >= dropout ? kept : 0 }
      }
      if !rates.isEmpty {
        var draws = stream(.dropPath)
        for (branch, rate) in rates.enumerated() {
          isKept[image * rates.count + branch] = Double(draws.uniform()) >= rate
        }
      }
    }
  }

  /// A branch's factor for an image, once for each channel.
  func factor(branch: Int, image: Int) -> UnsafePointer<Float> {
    let isKept = isKept[image * rates.count + branch]
    return UnsafePointer(rows + (isKept ? branch + 1 : 0) * widest)
  }

  /// Leaves out some of the head's inputs, or of their gradient.
  func dropOut(_ x: UnsafeMutablePointer<Float>, image: Int) {
    guard dropout > 0 else { return }
    let factors = inputFactors + image * stride
    for c in 0..<features { x[c] *= factors[c] }
  }
}
