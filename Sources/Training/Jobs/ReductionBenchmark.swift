import Glibc
import MessagePassing

/// Measures what it costs to sum gradients over ranks, by size: `rfm benchmark --allreduce`.
///
/// Through the same ``GradientReducer`` as in training, thread and pauses included, one bucket at a
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
    /// Processor time of a rank, user and system.
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
  ///   - sizes: bytes of float32, whole ones.
  ///   - budget: seconds for the repetitions of one size. Where a single reduction takes longer, larger
  ///     sizes are left out.
  /// - Throws: ``LonelyError``, `MPIError`.
  public static func run(
    _ communicator: Communicator, sizes: [Int], budget: Double = 0.25
  ) throws -> Report {
    guard communicator.size > 1 else { throw LonelyError() }
    let hosts = Set(try communicator.allGather(communicator.hostName)).count
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
        let point = try measure(part, compression, communicator, budget: budget)
        points.append(point)
        if point.seconds > budget { break }
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
    budget: Double
  ) throws -> Point {
    let bytes = arena.count * MemoryLayout<Float>.stride
    // The last bucket is an eighth of the size asked for, and this is to be the only one.
    let reducer = try GradientReducer(
      communicator: communicator, arena: arena, bucketBytes: 8 * bytes, compression: compression)
    precondition(reducer.buckets.count == 1, "one bucket was expected")
    var seconds: [Double] = []
    var processor: [Double] = []
    var repetitions = 2
    var number = 0
    while number < repetitions {
      try communicator.barrier()
      let before = processorSeconds()
      let watch = Stopwatch()
      reducer.begin()
      try reducer.finish()
      let (elapsed, busy) = (watch.seconds, processorSeconds() - before)
      seconds.append(try communicator.allReduce(elapsed, .max))
      processor.append(busy)
      number += 1
      // The first connects; by the second's time all ranks choose the same number.
      if number == 2 {
        repetitions = 2 + max(3, min(50, Int(budget / seconds[1])))
        (seconds, processor) = ([], [])
      }
    }
    let median = BenchmarkJob.median(seconds)
    let travelling = compression == .none ? bytes : bytes / 2
    let ranks = Double(communicator.size)
    return Point(
      bytes: bytes, seconds: median,
      bytesPerSecond: 2 * (ranks - 1) / ranks * Double(travelling) / median,
      processorSeconds: try communicator.allReduce(BenchmarkJob.median(processor), .max))
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

  /// Of all threads of this process, user and system.
  private static func processorSeconds() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + 1e-6 * Double(time.tv_usec) }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
  }
}
