import Configuration
import FaceShards
import Foundation
import Foundations
import MessagePassing
import Training

/// Measures how the images of shards come into batches: `rfm benchmark --loading`.
///
/// They are opened, ordered, read, augmented and cut as a training of this configuration would, and nobody
/// computes anything meanwhile. Ranks share the shards; each measures its own part.
public enum LoadingBenchmark {
  /// What was measured on rank 0.
  public struct Report: Codable, Sendable, Equatable {
    public var shards: Int
    /// In all of them.
    public var images: Int
    /// That were loaded for the figures below.
    public var loaded: Int
    public var threads: Int
    /// From nothing to shards that are validated, or known from their index.
    public var openSeconds: Double
    /// To find out which sample is next, mean over many.
    public var orderMicroseconds: Double
    public var imagesPerSecond: Double
    /// Calls of the system that read, and files opened past the HDF5 library.
    public var readsPerImage: Double
    public var opensPerImage: Double

    enum CodingKeys: String, CodingKey {
      case shards, images, loaded, threads
      case openSeconds = "open_seconds"
      case orderMicroseconds = "order_microseconds"
      case imagesPerSecond = "images_per_second"
      case readsPerImage = "reads_per_image"
      case opensPerImage = "opens_per_image"
    }
  }

  /// Collective.
  ///
  /// - Parameters:
  ///   - configuration: names the shards, the crop, and what is done to images; threads are set.
  ///   - images: that are loaded, after as many that are not measured: in those every file is met.
  /// - Throws: what opening and reading shards throws.
  public static func run(
    _ configuration: Configuration, images: Int, communicator: Communicator
  ) throws -> Report {
    precondition(images > 0, "at least one image is loaded")
    let watch = Stopwatch()
    let data = try TrainingData(configuration, communicator)
    let openSeconds = watch.seconds
    let batch = configuration.training.batchPerRank
    let batches = (images + batch - 1) / batch
    let loader = try data.loader(position: 0)
    for _ in 0..<batches { _ = try loader.next() }
    let (reads, opens) = (readCalls(), ShardSet.openedFiles)
    let start = watch.seconds
    for _ in 0..<batches { _ = try loader.next() }
    let seconds = watch.seconds - start
    let loaded = batches * batch
    let report = Report(
      shards: data.training.shards.count, images: data.training.count, loaded: loaded,
      threads: configuration.training.threads ?? 1, openSeconds: openSeconds,
      orderMicroseconds: orderSeconds(data.order) * 1e6,
      imagesPerSecond: Double(loaded) / seconds,
      readsPerImage: Double(readCalls() - reads) / Double(loaded),
      opensPerImage: Double(ShardSet.openedFiles - opens) / Double(loaded))
    try communicator.barrier()
    return report
  }

  /// Seconds for a draw of the order, each in another place.
  private static func orderSeconds(_ order: SampleOrder) -> Double {
    let draws = 200_000
    var sum = 0
    let watch = Stopwatch()
    for draw in 0..<draws {
      sum &+= order.draw(at: draw &* 7919 % (1 << 40)).sample
    }
    let seconds = watch.seconds
    // So that nothing of it can be left out.
    precondition(sum >= 0, "numbers of samples")
    return seconds / Double(draws)
  }

  /// How often this process has called the system to read something.
  private static func readCalls() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/io", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("syscr:") }
    return line.flatMap { Int($0.dropFirst(6).trimmingCharacters(in: .whitespaces)) } ?? 0
  }
}
