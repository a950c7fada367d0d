import Checkpoints
import Configuration
import Foundations
import MessagePassing
import Tensors

/// Which ways of multiplying a training takes: those of its settings; what they leave open, as the run did so far,
/// or else as rank 0 measures. The same on all ranks, because results depend on it.
public enum SettledMultiplies {
  /// A way that not every rank's processor has.
  public struct Impossible: ReportableError {
    let way: MultiplyWays.BFloat16

    public var description: String {
      "training.multiply.bfloat16 is \(way.rawValue), which not every rank's processor can: \"measured\" takes "
        + "what all of them can, \"widened\" runs everywhere"
    }
    public var exitStatus: ExitStatus { .usage }
  }

  /// Collective.
  ///
  /// - Parameters:
  ///   - training: its settings.
  ///   - record: the `environment.json` of the run so far, on rank 0; nil where it begins.
  ///   - say: told what bfloat16 gains, where it was measured.
  /// - Throws: ``Impossible``, and what communication throws.
  public static func take(
    _ training: Configuration.Training, record: JSON? = nil, _ communicator: Communicator,
    _ workers: WorkerPool, say: (String) -> Void = { _ in }
  ) throws {
    if MultiplyWays.areNamed { return }
    var ways = MultiplyWays(float32: training.multiply.float32, bfloat16: .widened)
    let precision = training.precision
    MatrixMultiply.use(ways)
    guard precision.attention == .bfloat16 || precision.training == .bfloat16 else { return }
    let possible = try MultiplyWays.BFloat16.allCases.filter { way in
      try communicator.all(MultiplyWays.possible(way))
    }
    if let fixed = MultiplyWays.BFloat16(rawValue: training.multiply.bfloat16.rawValue) {
      guard possible.contains(fixed) else { throw Impossible(way: fixed) }
      ways.bfloat16 = fixed
    } else {
      var chosen = MultiplyWays.BFloat16.widened
      if communicator.isRoot {
        let before = record?["versions"]?["bfloat16_multiply"]?.textValue
          .flatMap(MultiplyWays.BFloat16.init)
        if let before, possible.contains(before) {
          chosen = before
        } else {
          let rates = MultiplyWays.rates(workers)
          chosen = rates.fastest(possible.contains)
          say(words(rates, chosen))
        }
      }
      ways.bfloat16 = MultiplyWays.BFloat16(
        rawValue: try communicator.broadcast(chosen.rawValue))!
    }
    MatrixMultiply.use(ways)
  }

  /// What was measured, and what it means for somebody who has asked for bfloat16.
  static func words(_ rates: MultiplyWays.Rates, _ chosen: MultiplyWays.BFloat16) -> String {
    let best = rates.bfloat16.first { $0.way == chosen }!.rate
    let gain = best / rates.float32
    var text =
      "bfloat16 is multiplied as \(chosen.rawValue): \(significant(best / 1e9)) Gflop/s, "
      + "\(fixed(gain, 2)) times float32's"
    if gain < 1.1 {
      text =
        "note: \(text). It saves memory, and little or no time on this processor: training.precision "
        + "float32 is as fast"
    }
    return text
  }
}
