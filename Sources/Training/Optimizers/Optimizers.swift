import CKernels
import Configuration
import Tensors

/// An update rule with its state: one number, or two, for every weight, in the order of the weights.
///
/// A step is made in two parts, so that any number of threads can share it:
///
///     let update = optimizer.nextUpdate(learningRate: rate, gradientScale: 1 / Float(ranks))
///     update.apply(to: weights, gradients: gradients, range: 0..<n)   // any ranges, any threads
///
/// The rules agree with `torch.optim.Adam`, `AdamW` and `SGD`.
public final class Optimizer {
  public let settings: Configuration.Training.Optimizer
  /// Number of weights.
  public let count: Int
  /// Updates made so far.
  public private(set) var steps = 0
  /// What the rule remembers, under PyTorch's names: `exp_avg` and `exp_avg_sq` for Adam and
  /// AdamW, `momentum_buffer` for SGD. Each has `count` elements and begins at zero. The memory
  /// lives as long as the optimizer.
  public let slots: [Slot]
  private let slotValues: [UnsafeMutableBufferPointer<Float>]

  public struct Slot: @unchecked Sendable {
    public let name: String
    public let values: UnsafeMutableBufferPointer<Float>
    fileprivate let memory: AlignedMemory
  }

  /// - Parameters:
  ///   - settings: the rule and its numbers; the learning rate in it is not used here.
  ///   - count: number of weights.
  public init(_ settings: Configuration.Training.Optimizer, count: Int) {
    precondition(count >= 0, "a number of weights was expected, got \(count)")
    self.settings = settings
    self.count = count
    let names =
      switch settings.name {
      case .adam, .adamw: ["exp_avg", "exp_avg_sq"]
      case .sgd: ["momentum_buffer"]
      }
    slots = names.map { name in
      let memory = AlignedMemory(size: count * MemoryLayout<Float>.stride)
      return Slot(
        name: name, values: UnsafeMutableBufferPointer(start: memory.floats(), count: count),
        memory: memory)
    }
    slotValues = slots.map(\.values)
  }

  /// Continues a training: sets the number of updates made. The slots are filled by the caller.
  public func resume(steps: Int) {
    precondition(steps >= 0, "a number of steps was expected, got \(steps)")
    self.steps = steps
  }

  /// Counts one more step, and gives what its parts have in common.
  ///
  /// - Parameters:
  ///   - learningRate: of this step, from the schedule.
  ///   - gradientScale: what gradients are multiplied by first: one over the number of ranks and
  ///     accumulated batches turns their sum into the mean.
  public func nextUpdate(learningRate: Double, gradientScale: Float) -> OptimizerUpdate {
    steps += 1
    return update(learningRate: learningRate, gradientScale: gradientScale)
  }

  /// The same of the step that was counted last, for weights with another learning rate.
  public func update(learningRate: Double, gradientScale: Float) -> OptimizerUpdate {
    let t = Double(steps)
    let rule: OptimizerUpdate.Rule
    switch settings.name {
    case .adam, .adamw:
      let isDecoupled = settings.name == .adamw
      rule = .adam(
        rfm_adam_step(
          gradient_scale: gradientScale,
          one_minus_beta1: Float(1 - settings.beta1),
          beta2: Float(settings.beta2),
          one_minus_beta2: Float(1 - settings.beta2),
          step_size: Float(learningRate / (1 - power(settings.beta1, t))),
          root_correction2: Float((1 - power(settings.beta2, t)).squareRoot()),
          epsilon: Float(settings.epsilon),
          coupled_decay: isDecoupled ? 0 : Float(settings.weightDecay),
          kept: isDecoupled ? Float(1 - learningRate * settings.weightDecay) : 1))
    case .sgd:
      rule = .sgd(
        rfm_sgd_step(
          gradient_scale: gradientScale,
          learning_rate: Float(learningRate),
          momentum: Float(settings.momentum),
          decay: Float(settings.weightDecay),
          nesterov: settings.nesterov ? 1 : 0))
    }
    return OptimizerUpdate(rule: rule, count: count, slots: slotValues, owner: self)
  }
}

/// One step of an ``Optimizer``, to be applied to every weight once.
public struct OptimizerUpdate: @unchecked Sendable {
  enum Rule {
    case adam(rfm_adam_step)
    case sgd(rfm_sgd_step)
  }

  let rule: Rule
  let count: Int
  let slots: [UnsafeMutableBufferPointer<Float>]
  /// Keeps the slots' memory.
  let owner: Optimizer

  /// Updates the weights of `range`. Calls with ranges that do not overlap may run at the same
  /// time, and how the whole is parted does not change the result.
  ///
  /// - Parameters:
  ///   - weights: all weights.
  ///   - gradients: their gradients.
  public func apply(
    to weights: UnsafeMutableBufferPointer<Float>, gradients: UnsafeBufferPointer<Float>,
    range: Range<Int>
  ) {
    precondition(
      weights.count == count && gradients.count == count,
      "\(count) weights and gradients were expected, got \(weights.count) and \(gradients.count)")
    precondition(
      range.lowerBound >= 0 && range.upperBound <= count,
      "a range within 0..<\(count) was expected, got \(range)")
    guard !range.isEmpty else { return }
    let start = range.lowerBound
    switch rule {
    case .adam(let step):
      rfm_adam_update(
        weights.baseAddress! + start, gradients.baseAddress! + start,
        slots[0].baseAddress! + start, slots[1].baseAddress! + start, range.count, step)
    case .sgd(let step):
      rfm_sgd_update(
        weights.baseAddress! + start, gradients.baseAddress! + start,
        slots[0].baseAddress! + start, range.count, step)
    }
  }
}

/// `base` to the power of a whole number.
private func power(_ base: Double, _ exponent: Double) -> Double {
  // Repeated squaring: the same bits with every version of the C library.
  var result = 1.0
  var factor = base
  var rest = UInt64(exponent)
  while rest > 0 {
    if rest & 1 == 1 { result *= factor }
    factor *= factor
    rest >>= 1
  }
  return result
}
