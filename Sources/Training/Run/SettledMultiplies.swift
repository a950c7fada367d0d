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

  /// The ways that a run took so far, as far as its records tell.
  public struct Record: Sendable, Equatable {
    /// nil: not told.
    public var float32: MultiplyWays.Float32?
    /// nil: not told, or it takes none.
    public var bfloat16: MultiplyWays.BFloat16?

    /// Of a run that begins.
    public init() {}

    /// - Parameters:
    ///   - checkpoint: that the run goes on from: what it tells counts.
    ///   - environment: the run's `environment.json`, for checkpoints that tell none.
    public init(_ checkpoint: CheckpointState, environment: JSON?) {
      let details = JSON.object(checkpoint.details)
      func text(_ name: String) -> String? {
        (details[name] ?? environment?["versions"]?[name])?.textValue
      }
      let library = text(RunVersions.float32Multiply)
      float32 = MultiplyWays.Float32.allCases.first { $0.name == library }
      bfloat16 = text(RunVersions.bfloat16Multiply).flatMap(MultiplyWays.BFloat16.init)
    }

    /// What a checkpoint keeps of the ways that are taken now.
    static func details(_ training: Configuration.Training) -> [JSON.Member] {
      let ways = MatrixMultiply.ways
      return [.init(RunVersions.float32Multiply, .text(ways.float32.name))]
        + (training.precision.usesBFloat16
          ? [.init(RunVersions.bfloat16Multiply, .text(ways.bfloat16.rawValue))] : [])
    }
  }

  /// What rank 0 has measured in this process: trainings that follow one another, as a comparison's, differ in nothing
  /// that nobody asked for.
  private static let measured = Mutex(Record())

  /// As if rank 0 had measured these in this process, where it has not.
  public static func remember(_ record: Record) {
    measured.withLock {
      $0.float32 = $0.float32 ?? record.float32
      $0.bfloat16 = $0.bfloat16 ?? record.bfloat16
    }
  }

  /// Collective.
  ///
  /// - Parameters:
  ///   - training: its settings.
  ///   - record: what the run took so far, on rank 0.
  ///   - say: told what a choice gains, where it was measured.
  /// - Throws: ``Impossible``, ``NamesDiffer``, and what communication throws.
  public static func take(
    _ training: Configuration.Training, record: Record = Record(), _ communicator: Communicator,
    _ workers: WorkerPool, say: (String) -> Void = { _ in }
  ) throws {
    let names = try communicator.allGather(MultiplyWays.named)
    guard names.allSatisfy({ $0 == names[0] }) else { throw NamesDiffer() }
    if !names[0].isEmpty { return }
    var ways = MatrixMultiply.ways
    let float32 = MultiplyWays.Float32(rawValue: training.multiply.float32.rawValue)
    ways.float32 =
      try float32
      ?? settle(
        communicator, known: [record.float32, measured.withLock(\.float32)]
      ) {
        let rates = MultiplyWays.rates(workers, withBFloat16: false)
        let fastest = rates.fastestFloat32
        measured.withLock { $0.float32 = fastest }
        say(words(rates, fastest))
        return fastest
      }
    MatrixMultiply.use(ways)
    guard training.precision.usesBFloat16 else { return }
    let possible = try MultiplyWays.BFloat16.allCases.filter { way in
      try communicator.all(MultiplyWays.possible(way))
    }
    if let fixed = MultiplyWays.BFloat16(rawValue: training.multiply.bfloat16.rawValue) {
      guard possible.contains(fixed) else { throw Impossible(way: fixed) }
      ways.bfloat16 = fixed
    } else {
      ways.bfloat16 = try settle(
        communicator, known: [record.bfloat16, measured.withLock(\.bfloat16)],
        among: possible.contains
      ) {
        let rates = MultiplyWays.rates(workers)
        let fastest = rates.fastestBFloat16(possible.contains)
        measured.withLock { $0.bfloat16 = fastest }
        say(words(rates, fastest, float32: ways.float32))
        return fastest
      }
    }
    MatrixMultiply.use(ways)
  }

  /// What is known, the first that can be, or else what rank 0 measures while the others leave it the cores.
  /// Collective.
  private static func settle<Way: RawRepresentable<String>>(
    _ communicator: Communicator, known: [Way?],
    among isPossible: (Way) -> Bool = { _ in true }, measure: () -> Way
  ) throws -> Way {
    let chosen = try communicator.agreed {
      communicator.isRoot
        ? known.compactMap(\.self).first(where: isPossible) ?? measure() : nil
    }
    return Way(rawValue: try communicator.broadcast(chosen?.rawValue ?? ""))!
  }

  /// What was measured of float32.
  static func words(_ rates: MultiplyWays.Rates, _ chosen: MultiplyWays.Float32) -> String {
    let told = rates.float32.map { "\($0.way.name) \(significant($0.rate / 1e9)) Gflop/s" }
    return "float32 is multiplied by \(chosen.name): \(told.joined(separator: ", "))"
  }

  /// What was measured, and what it means for somebody who has asked for bfloat16.
  static func words(
    _ rates: MultiplyWays.Rates, _ chosen: MultiplyWays.BFloat16, float32: MultiplyWays.Float32
  ) -> String {
    let best = rates.bfloat16.first { $0.way == chosen }!.rate
    let gain = best / rates.float32.first { $0.way == float32 }!.rate
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
