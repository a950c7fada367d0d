import Configuration
import Foundation
import Foundations
import MessagePassing
import Training

/// Measures what it costs to sum gradients over ranks, by size: `rfm benchmark --allreduce`.
///
/// Through the same `GradientReducer` as in training, thread and pauses included, one bucket at a
/// time. Whatever else a step does is left out.
public enum ReductionBenchmark {
  /// One size.
  public struct Point: Codable, Sendable, Equatable {
    /// Of the gradients, float32, however they travel.
    public var bytes: Int
    /// Median over repetitions of the time until the last rank has the sums.
    public var seconds: Double
    /// Bytes a rank has to send at least, 2 (R − 1)/R of what travels, by `seconds`.
    public var bytesPerSecond: Double
    /// Processor time of the machine a rank of it, the network's interrupts included. Of short
    /// reductions it is coarse, and of a machine that does other things too high.
    public var processorSeconds: Double

    enum CodingKeys: String, CodingKey {
      case bytes, seconds
      case bytesPerSecond = "bytes_per_second"
      case processorSeconds = "processor_seconds"
    }
  }

  /// Sizes of one way to travel, and the network that explains them (see ``ScalingModel``).
  public struct Series: Codable, Sendable, Equatable {
    public var compression: String
    public var points: [Point]
    public var network: ScalingModel.Network
  }

  public struct Report: Codable, Sendable, Equatable {
    public var ranks: Int
    public var hosts: Int
    public var series: [Series]
  }

  /// Needs other ranks.
  public struct LonelyError: ReportableError {
    public var description: String {
      "a reduction needs at least two ranks: mpirun -np 2 --bind-to none rfm benchmark --allreduce"
    }
    public var exitStatus: ExitStatus { .usage }
  }

  /// Collective.
  ///
  /// - Parameters:
  ///   - sizes: bytes of float32, whole ones; two or more.
  ///   - budget: seconds for the repetitions of one size. Where a single reduction takes longer, larger
  ///     sizes are left out.
  /// - Throws: ``LonelyError``, `MPIError`.
  public static func run(
    _ communicator: Communicator, sizes: [Int], budget: Double = 0.25
  ) throws -> Report {
    guard communicator.size > 1 else { throw LonelyError() }
    let hosts = Set(try communicator.allGather(communicator.hostName)).count
    let identity = MachineTime.identity
    let sharing = try communicator.allGather(identity).count { $0 == identity }
    let arena = UnsafeMutableBufferPointer<Float>.allocate(
      capacity: (sizes.max() ?? 0) / MemoryLayout<Float>.stride)
    arena.initialize(repeating: 0)
    defer { arena.deallocate() }
    var series: [Series] = []
    for compression in Configuration.Communication.Compression.allCases {
      var points: [Point] = []
      for bytes in sizes {
        let part = UnsafeMutableBufferPointer(
          rebasing: arena[..<(bytes / MemoryLayout<Float>.stride)])
        let point = try measure(
          part, compression, communicator, sharing: sharing, budget: budget)
        points.append(point)
        // A latency and a bandwidth need two sizes.
        if point.seconds > budget, points.count > 1 { break }
      }
      series.append(
        Series(
          compression: compression.rawValue, points: points,
          network: network(points, communicator, hosts: hosts, compression)))
    }
    return Report(ranks: communicator.size, hosts: hosts, series: series)
  }

  private static func measure(
    _ arena: UnsafeMutableBufferPointer<Float>,
    _ compression: Configuration.Communication.Compression, _ communicator: Communicator,
    sharing: Int, budget: Double
  ) throws -> Point {
    let bytes = arena.count * MemoryLayout<Float>.stride
    // The last bucket is an eighth of the size asked for, and this is to be the only one.
    let reducer = try GradientReducer(
      communicator: communicator, arena: arena, bucketBytes: 8 * bytes, compression: compression)
    precondition(reducer.buckets.count == 1, "one bucket was expected")
    // The first connects; by the second's time all ranks choose the same number.
    try reduce(reducer)
    let trial = try communicator.allReduce(reduce(reducer), .max)
    let repetitions = max(3, min(200, Int(budget / trial)))
    var seconds: [Double] = []
    seconds.reserveCapacity(repetitions)
    try communicator.barrier()
    // Reductions keep the ranks in step; anything between them would take processor time too.
    let before = MachineTime.busy
    for _ in 0..<repetitions { seconds.append(try reduce(reducer)) }
    let busy = (MachineTime.busy - before) / Double(repetitions)
    try communicator.allReduce(&seconds, .max)
    let median = BenchmarkJob.median(seconds)
    let travelling = compression == .none ? bytes : bytes / 2
    let ranks = Double(communicator.size)
    return Point(
      bytes: bytes, seconds: median,
      bytesPerSecond: 2 * (ranks - 1) / ranks * Double(travelling) / median,
      processorSeconds: try communicator.allReduce(busy / Double(sharing), .max))
  }

  /// One reduction, and the seconds it took.
  @discardableResult
  private static func reduce(_ reducer: GradientReducer) throws -> Double {
    let watch = Stopwatch()
    reducer.begin()
    try reducer.finish()
    return watch.seconds
  }

  private static func network(
    _ points: [Point], _ communicator: Communicator, hosts: Int,
    _ compression: Configuration.Communication.Compression
  ) -> ScalingModel.Network {
    // What a byte costs shows where there are many.
    let large = points.suffix(max(1, points.count / 3))
    // Within one host its memory is the network.
    let ranksPerHost = hosts == 1 ? 1 : communicator.size / hosts
    return ScalingModel.fit(
      points.map { ($0.bytes, $0.seconds) }, ranks: communicator.size,
      ranksPerHost: max(1, ranksPerHost), compressed: compression != .none,
      processorPerByte: BenchmarkJob.median(large.map { $0.processorSeconds / Double($0.bytes) }))
  }
}

/// What processors have done since the machine started.
private enum MachineTime {
  /// Seconds that all processors of this machine were busy, for whatever process, the network's
  /// interrupts included: much of what a message costs is done on no process's account. 0 where
  /// the system does not say.
  static var busy: Double {
    guard let text = try? String(contentsOfFile: "/proc/stat", encoding: .utf8),
      let line = text.split(separator: "\n").first, line.hasPrefix("cpu ")
    else { return 0 }
    let ticks = line.split(separator: " ").dropFirst().compactMap { Double($0) }
    // user, nice, system, (idle, waiting for input and output,) interrupts, soft interrupts
    guard ticks.count >= 7 else { return 0 }
    return (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6])
      / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  /// What tells this machine from others, even where it plays several hosts.
  static var identity: String {
    (try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)) ?? ""
  }
}
