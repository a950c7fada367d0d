import Tensors

/// What makes a data set harder for a detector than the usual one.
public struct SynthesisDifficulty: Sendable, Equatable {
  /// Places of a forged face that bear traces, at most ``mostTraces``: its own method's, and those of further
  /// methods, drawn among the ones that leave most of the face alone. A detector that has found one of them
  /// need not look for the others.
  public var traces = 1
  /// How much of a forgery is blended in, above 0 and at most 1: traces are that much fainter.
  public var strength: Float = 1
  /// How widely heads turn and cameras, noise and compression differ, 1 to 3 times the usual.
  public var variation: Float = 1

  /// As many as there are local methods beside a face's own.
  public static let mostTraces = 3

  public init(traces: Int = 1, strength: Float = 1, variation: Float = 1) {
    precondition(
      (1...Self.mostTraces).contains(traces) && strength > 0 && strength <= 1
        && (1...3).contains(variation), "SynthesisDifficulty: out of range")
    self.traces = traces
    self.strength = strength
    self.variation = variation
  }

  /// What forges a face of `method`, in the order in which it is done.
  func methods(of method: ForgeryMethod, _ generator: CounterGenerator) -> [ForgeryMethod] {
    guard traces > 1 else { return [method] }
    var generator = generator
    var others = ForgeryMethod.local.filter { $0 != method }
    var methods = [method]
    while methods.count < traces {
      methods.append(others.remove(at: generator.below(others.count)))
    }
    return methods
  }
}

extension ForgeryMethod {
  /// Methods that forge a small part of a face.
  static let local: [ForgeryMethod] = [.mouthReenactment, .eyeRetouch, .skinSmoothing]
}
