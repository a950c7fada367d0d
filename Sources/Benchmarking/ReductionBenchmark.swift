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
    /// Median of the time in which the ranks of a host add up and take over, without other hosts; nil where
    /// they exchange messages.
    public var hostSeconds: Double?

    enum CodingKeys: String, CodingKey {
      case bytes, seconds
      case bytesPerSecond = "bytes_per_second"
      case processorSeconds = "processor_seconds"
      case hostSeconds = "host_seconds"
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
    /// How they were made, see `GradientReducer.Means`; nil in older files: by messages.
    public var gradientSums: String?
    public var series: [Series]

    enum CodingKeys: String, CodingKey {
      case ranks, hosts, series
      case gradientSums = "gradient_sums"
    }

    /// Ranks of a host whose first one exchanged messages for all; 1 where each did.
    var ranksPerLeader: Int {
      gradientSums == GradientReducer.Means.hierarchical.rawValue ? max(1, ranks / hosts) : 1
    }
  }

  /// Needs other ranks.
  public struct LonelyError: ReportableError {
    public var description: String {
      "a reduction needs at least two ranks: mpirun -np 2 --bind-to none rfm benchmark --allreduce"
    }
    public var exitStatus: ExitStatus { .usage }
  }

  /// Sums as a training makes them, but those of one host by messages too. Collective.
  ///
  /// - Parameters:
  ///   - sizes: bytes of float32, whole ones; two or more.
  ///   - messages: by messages of all ranks where hosts have several, too.
  ///   - budget: seconds for the repetitions of one size. Where a single reduction takes longer, larger
  ///     sizes are left out.
  /// - Throws: ``LonelyError``, `MPIError`.
  public static func run(
    _ communicator: Communicator, sizes: [Int], messages: Bool = false, budget: Double = 0.25
  ) throws -> Report {
    guard communicator.size > 1 else { throw LonelyError() }
    let hosts = Set(try communicator.allGather(communicator.hostName)).count
    let identity = MachineTime.identity
    let sharing = try communicator.allGather(identity).count { $0 == identity }
    let arena = UnsafeMutableBufferPointer<Float>.allocate(
      capacity: (sizes.max() ?? 0) / MemoryLayout<Float>.stride)
    arena.initialize(repeating: 0)
    defer { arena.deallocate() }
    let group =
      messages ? nil : try HostGroup(communicator, bytes: MemoryLayout<Float>.stride)
    var series: [Series] = []
    for compression in Configuration.Communication.Compression.allCases {
      var points: [Point] = []
      for bytes in sizes {
        let part = UnsafeMutableBufferPointer(
          rebasing: arena[..<(bytes / MemoryLayout<Float>.stride)])
        let point = try measure(
          part, compression, communicator, group, sharing: sharing, budget: budget)
        points.append(point)
        // A latency and a bandwidth need two sizes.
        if point.seconds > budget, points.count > 1 { break }
      }
      series.append(
        Series(
          compression: compression.rawValue, points: points,
          network: network(
            points, ranks: communicator.size, hosts: hosts, isHierarchical: group != nil,
            compression)))
    }
    let means = group == nil ? GradientReducer.Means.messages : .hierarchical
    return Report(
      ranks: communicator.size, hosts: hosts, gradientSums: means.rawValue, series: series)
  }

  private static func measure(
    _ arena: UnsafeMutableBufferPointer<Float>,
    _ compression: Configuration.Communication.Compression, _ communicator: Communicator,
    _ group: HostGroup?, sharing: Int, budget: Double
  ) throws -> Point {
    let bytes = arena.count * MemoryLayout<Float>.stride
    // What the ranks of a host do in their memory, by itself.
    var hostSeconds: Double?
    if let alone = try group?.alone(communicator, bytes: bytes) {
      let reducer = try reducer(alone.ranks, arena.count, compression, alone.group)
      hostSeconds = try time(reducer, communicator, budget: budget / 4).seconds
    }
    let reducer =
      if let renewed = try group?.renewed(communicator, bytes: bytes) {
        try reducer(communicator, arena.count, compression, renewed)
      } else {
        try GradientReducer(
          communicator: communicator, arena: arena, bucketBytes: 8 * bytes,
          compression: compression)
      }
    precondition(reducer.buckets.count == 1, "one bucket was expected")
    let (seconds, busy) = try time(reducer, communicator, budget: budget)
    let travelling = compression == .none ? bytes : bytes / 2
    let ranks = Double(communicator.size)
    return Point(
      bytes: bytes, seconds: seconds,
      bytesPerSecond: 2 * (ranks - 1) / ranks * Double(travelling) / seconds,
      processorSeconds: try communicator.allReduce(busy / Double(sharing), .max),
      hostSeconds: hostSeconds)
  }

  /// A reducer of an arena in a host's memory.
  ///
  /// The last bucket is an eighth of the size asked for, and this is to be the only one.
  private static func reducer(
    _ communicator: Communicator, _ count: Int,
    _ compression: Configuration.Communication.Compression, _ group: HostGroup
  ) throws -> GradientReducer {
    let memory = group.memory.parts[group.rank].assumingMemoryBound(to: Float.self)
    return try GradientReducer(
      communicator: communicator, arena: UnsafeMutableBufferPointer(start: memory, count: count),
      bucketBytes: 8 * count * MemoryLayout<Float>.stride, compression: compression, group: group)
  }

  /// The median of the seconds until the last rank has the sums, and those that the machine was busy for one
  /// of them.
  private static func time(
    _ reducer: GradientReducer, _ communicator: Communicator, budget: Double
  ) throws -> (seconds: Double, busy: Double) {
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
    return (BenchmarkJob.median(seconds), busy)
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
    _ points: [Point], ranks: Int, hosts: Int, isHierarchical: Bool,
    _ compression: Configuration.Communication.Compression
  ) -> ScalingModel.Network {
    // What a byte costs shows where there are many.
    let large = points.suffix(max(1, points.count / 3))
    let processor = BenchmarkJob.median(large.map { $0.processorSeconds / Double($0.bytes) })
    guard !isHierarchical else {
      // One rank a host exchanges messages, after the host has added up.
      var network = ScalingModel.fit(
        points.map { ($0.bytes, max($0.seconds - ($0.hostSeconds ?? 0), 1e-9)) }, ranks: hosts,
        compressed: compression != .none, processorPerByte: processor)
      network.hostPerByte = BenchmarkJob.median(
        large.map { ($0.hostSeconds ?? 0) / Double($0.bytes) })
      return network
    }
    // Within one host its memory is the network.
    let ranksPerHost = hosts == 1 ? 1 : ranks / hosts
    return ScalingModel.fit(
      points.map { ($0.bytes, $0.seconds) }, ranks: ranks, ranksPerHost: max(1, ranksPerHost),
      compressed: compression != .none, processorPerByte: processor)
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
