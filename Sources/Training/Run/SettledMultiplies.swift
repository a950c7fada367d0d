import Checkpoints
import Configuration
import Foundations
import MessagePassing
import Synchronization
import Tensors

/// Which ways of multiplying a training takes: those of its settings; what they leave open, as the run did so far,
/// or else as rank 0 measures. The same on all ranks, because results depend on it.
public enum SettledMultiplies {
  /// A way that not every rank's processor has.
  public struct Impossible: ReportableError {
    let way: MultiplyWays.BFloat16

    public var description: String {
      "training.multiply.bfloat16 is \(way.rawValue), which not every rank's processor has: \"measured\" takes "
        + "what all of them can, \"widened\" runs everywhere"
    }
    public var exitStatus: ExitStatus { .usage }
  }

  /// Ranks for which `RFM_GEMM` names different ways.
  public struct NamesDiffer: ReportableError {
    public var description: String {
      "RFM_GEMM is not the same for all ranks: unset it, or hand it to all of them (mpirun -x RFM_GEMM)"
    }
    public var exitStatus: ExitStatus { .usage }
  }

  /// What rank 0 has measured in this process: trainings that follow one another, as a comparison's, differ in nothing
  /// that nobody asked for.
  private static let measured = Mutex<MultiplyWays.BFloat16?>(nil)

  /// Collective.
  ///
  /// - Parameters:
  ///   - training: its settings.
  ///   - record: the `environment.json` of the run so far, on rank 0; nil where it begins.
  ///   - say: told what bfloat16 gains, where it was measured.
  /// - Throws: ``Impossible``, ``NamesDiffer``, and what communication throws.
  public static func take(
    _ training: Configuration.Training, record: JSON? = nil, _ communicator: Communicator,
    _ workers: WorkerPool, say: (String) -> Void = { _ in }
  ) throws {
    let names = try communicator.allGather(MultiplyWays.named)
    guard names.allSatisfy({ $0 == names[0] }) else { throw NamesDiffer() }
    if !names[0].isEmpty { return }
    var ways = MatrixMultiply.ways
    ways.float32 = training.multiply.float32
    MatrixMultiply.use(ways)
    guard training.precision.usesBFloat16 else { return }
    let possible = try MultiplyWays.BFloat16.allCases.filter { way in
      try communicator.all(MultiplyWays.possible(way))
    }
    if let fixed = MultiplyWays.BFloat16(rawValue: training.multiply.bfloat16.rawValue) {
      guard possible.contains(fixed) else { throw Impossible(way: fixed) }
      ways.bfloat16 = fixed
    } else {
      var chosen = MultiplyWays.BFloat16.widened
      if communicator.isRoot {
        let before = record?["versions"]?[RunVersions.bfloat16Multiply]?.textValue
          .flatMap(MultiplyWays.BFloat16.init)
        if let known = before ?? measured.withLock({ $0 }), possible.contains(known) {
          chosen = known
        } else {
          let rates = MultiplyWays.rates(workers)
          chosen = rates.fastest(possible.contains)
          let settled = chosen
          measured.withLock { $0 = settled }
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
        "note: \(text). It saves memory and traffic here, but multiplies gain nothing: rfm benchmark tells whether "
        + "a step does"
    }
    return text
  }
}
