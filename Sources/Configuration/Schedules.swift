import Glibc

/// The learning rate of every step.
///
/// With base rate η, W steps of warm-up, T steps in all, and s the step, from 0:
///
/// | | rate |
/// | --- | --- |
/// | s < W | η (s + 1) / W |
/// | constant | η |
/// | cosine | m + (η − m) (1 + cos(π (s − W) / (T − W))) / 2 |
/// | step | η fᵏ, k = ⌊(s − W) / every⌋ |
///
/// Cosine: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR
/// 2017, equation 5, without restarts.
public struct Schedule: Sendable {
  public let settings: Configuration.Training.Schedule
  /// η.
  public let base: Double
  /// T.
  public let totalSteps: Int

  public init(_ settings: Configuration.Training.Schedule, base: Double, totalSteps: Int) {
    precondition(totalSteps > 0, "a number of steps above 0 was expected, got \(totalSteps)")
    self.settings = settings
    self.base = base
    self.totalSteps = totalSteps
  }

  /// The learning rate of step `step`, counted from 0. After the last step it stays where it is.
  public func learningRate(step: Int) -> Double {
    precondition(step >= 0, "a step from 0 on was expected, got \(step)")
    let warmup = settings.warmupSteps
    if step < warmup { return base * Double(step + 1) / Double(warmup) }
    let t = step - warmup
    switch settings.name {
    case .constant:
      return base
    case .cosine:
      let length = totalSteps - warmup
      // Nothing is left after the warm-up, or the run goes on after its end.
      guard t < length else { return settings.minimum }
      let fall = (1 + cos(Double.pi * Double(t) / Double(length))) / 2
      return settings.minimum + (base - settings.minimum) * fall
    case .step:
      return base * pow(settings.factor, Double(t / settings.every))
    }
  }
}
