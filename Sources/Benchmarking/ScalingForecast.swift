import Configuration
import Foundation
import Foundations

/// What `rfm benchmark --scaling` predicts: the step measured here, on more ranks and other networks.
public struct ScalingForecast {
  /// A network to predict for.
  public struct Candidate: Sendable {
    public var name: String
    public var network: ScalingModel.Network

    public init(name: String, network: ScalingModel.Network) {
      self.name = name
      self.network = network
    }
  }

  /// A predicted step.
  public struct Row: Encodable, Sendable, Equatable {
    public var network: String
    public var ranks: Int
    public var secondsPerStep: Double
    public var exposedSeconds: Double
    public var imagesPerSecond: Double
    public var efficiency: Double
    /// What that asks of a rank.
    public var costs: RankCosts

    enum CodingKeys: String, CodingKey {
      case network, ranks, efficiency, costs
      case secondsPerStep = "seconds_per_step"
      case exposedSeconds = "exposed_seconds"
      case imagesPerSecond = "images_per_second"
    }
  }

  /// A file that holds no benchmark of the kind that is needed.
  public struct BenchmarkFileError: ReportableError {
    let path: String
    let reason: String
    public var description: String { "\(path): \(reason)" }
    public var exitStatus: ExitStatus { .badData }
  }

  /// Powers of two to 1,024.
  public static let ranks = (0...10).map { 1 << $0 }

  /// Ethernet of common speeds. Latencies of TCP through the kernel and bandwidths of nine tenths of
  /// the line; of processor time half a nanosecond a byte, a modern core's at 2 GB/s; and memory in which
  /// the ranks of a host add up 5 GB/s.
  public static let commonNetworks = [1.0, 10, 25, 100].map { gigabits in
    Candidate(
      name: "\(Int(gigabits)) Gbit/s",
      network: .init(
        latency: gigabits > 10 ? 20e-6 : 40e-6, bandwidth: 0.9 * gigabits * 1e9 / 8,
        processorPerByte: 0.5e-9, hostPerByte: 0.2e-9))
  }

  /// The step of one rank from a benchmark of the training step.
  ///
  /// - Throws: if it measured inference, or several ranks, whose steps waited for each other.
  public static func compute(
    from report: BenchmarkJob.Report, path: String
  ) throws -> ScalingModel.Compute {
    guard report.ranks == 1 else {
      throw BenchmarkFileError(
        path: path,
        reason: "measured on \(report.ranks) ranks, but one that waits for no other is "
          + "needed: rfm benchmark --json without mpirun")
    }
    guard let bytes = report.bucketBytes, let ready = report.bucketReadySeconds,
      bytes.count == ready.count, let statistics = report.statisticsBytes
    else {
      throw BenchmarkFileError(
        path: path, reason: "no measured training step: make it with rfm benchmark --json")
    }
    func phase(_ name: String) -> Double { report.secondsPerPhase[name] ?? 0 }
    let backward = phase("backward")
    let update = phase("update")
    return ScalingModel.Compute(
      beforeBackward: max(0, report.secondsPerStep - backward - update), backward: backward,
      update: update, bucketReady: ready, bucketBytes: bytes, statisticsBytes: statistics,
      deviation: report.secondsDeviation ?? 0, imagesPerRank: report.batchPerRank)
  }

  /// Reads what `rfm benchmark --json` printed.
  public static func readCompute(_ path: String) throws -> ScalingModel.Compute {
    try compute(from: read(path, "the training step, by rfm benchmark --json"), path: path)
  }

  /// A network that was measured, and how: with the ranks of a host that one of them spoke for.
  public struct MeasuredNetwork: Sendable {
    public let network: ScalingModel.Network
    public let isHierarchical: Bool
    public let ranksPerHost: Int
  }

  /// Reads the network that `rfm benchmark --allreduce --json` found.
  public static func readNetwork(
    _ path: String, _ compression: Configuration.Communication.Compression
  ) throws -> MeasuredNetwork {
    let report: ReductionBenchmark.Report = try read(
      path, "reductions, by rfm benchmark --allreduce --json")
    guard let series = report.series.first(where: { $0.compression == compression.rawValue })
    else {
      throw BenchmarkFileError(path: path, reason: "nothing measured of \(compression.rawValue)")
    }
    let ranksPerLeader = report.ranksPerLeader
    return MeasuredNetwork(
      network: series.network, isHierarchical: ranksPerLeader > 1,
      ranksPerHost: report.hosts > 1 ? max(1, report.ranks / report.hosts) : 1)
  }

  private static func read<T: Decodable>(_ path: String, _ kind: String) throws -> T {
    let bytes: Data
    do {
      bytes = try Data(contentsOf: URL(filePath: path))
    } catch {
      throw FileReadError(path: path)
    }
    do {
      return try JSONDecoder().decode(T.self, from: bytes)
    } catch {
      throw BenchmarkFileError(path: path, reason: "not a benchmark of \(kind)")
    }
  }

  /// A file that can't be read.
  public struct FileReadError: ReportableError {
    let path: String
    public var description: String { "\(path): can't be read" }
    public var exitStatus: ExitStatus { .inputOutput }
  }

  /// Every network on every number of ranks.
  ///
  /// - Parameter data: shards and images of the training; its costs at the start are of these.
  public static func rows(
    _ model: ScalingModel, networks: [Candidate], ranks: [Int] = Self.ranks,
    data: (shards: Int, images: Int)
  ) -> [Row] {
    networks.flatMap { candidate in
      var model = model
      model.network = candidate.network
      return ranks.map {
        let prediction = model.predict(ranks: $0)
        return Row(
          network: candidate.name, ranks: $0, secondsPerStep: prediction.step,
          exposedSeconds: prediction.exposed, imagesPerSecond: prediction.imagesPerSecond,
          efficiency: prediction.efficiency, costs: costs(model, ranks: $0, data: data))
      }
    }
  }

  private static func costs(
    _ model: ScalingModel, ranks: Int, data: (shards: Int, images: Int)
  ) -> RankCosts {
    var job = RankCosts.Job(
      ranks: ranks, ranksPerHost: min(ranks, model.ranksPerHost), shards: data.shards,
      images: data.images, weightBytes: model.compute.bucketBytes.reduce(0, +),
      statisticsBytes: model.compute.statisticsBytes, bucketBytes: model.compute.bucketBytes)
    job.compression = model.compression
    job.isHierarchical = model.isHierarchical
    return RankCosts(job)
  }
}
