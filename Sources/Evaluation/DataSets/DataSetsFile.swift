import Foundation
import Foundations

/// `data-sets.json` of `rfm evaluate`, read again.
public struct DataSetsFile: Sendable {
  /// A data set and its figures.
  public struct Set: Sendable {
    public var name: String
    public var images: Int
    public var metrics: EvaluationMetrics
    public var videos: VideoMetrics?
    public var bootstrap: SourceBootstrap?
    /// What was done to the images first.
    public var degradations: [String]
  }

  /// Figures that can't be taken.
  public struct Unusable: ReportableError {
    let path: String
    let problem: String
    public var description: String { "\(printable(path, limit: 400)): \(problem)" }
    public var exitStatus: ExitStatus { .badData }
  }

  public let path: String
  /// In the order in which they were named.
  public let sets: [Set]
  /// Means over the data sets; nil for one.
  public let means: DataSetsReport.MeansByKind?
  /// SHA-256 of the weights that were measured; nil where they were no checkpoint's.
  public let weights: String?

  /// - Throws: ``Unusable``, `FileError`.
  public init(reading path: String) throws {
    let reader = try FileReader(opening: path)
    guard reader.size <= 64 << 20 else {
      throw Unusable(path: path, problem: "is too large for figures (\(reader.size) bytes)")
    }
    var bytes = [UInt8](repeating: 0, count: reader.size)
    let count = try bytes.withUnsafeMutableBytes { try reader.read(into: $0, at: 0) }
    let contents: Contents
    do {
      contents = try JSONDecoder().decode(Contents.self, from: Data(bytes[..<count]))
    } catch {
      throw Unusable(
        path: path,
        problem: "is no data-sets.json of rfm evaluate, which writes it for --data NAME=GLOB")
    }
    self.path = path
    (means, weights) = (contents.mean, contents.weights)
    sets = try contents.order.map { name in
      guard let found = contents.sets[name] else {
        throw Unusable(path: path, problem: "lacks the figures of \(printable(name))")
      }
      return Set(
        name: name, images: found.images, metrics: found.metrics, videos: found.videos,
        bootstrap: found.bootstrap, degradations: found.degradations)
    }
  }

  /// Refuses figures of other weights than these.
  ///
  /// - Parameters:
  ///   - weights: SHA-256 of the detector's weights; nil where it is no checkpoint.
  ///   - source: where the detector comes from.
  /// - Throws: ``Unusable``.
  public func check(weights: String?, of source: String) throws {
    let name = printable(source, limit: 400)
    guard let weights else {
      throw Unusable(
        path: path, problem: "figures of it can't be told to be of \(name), which is no checkpoint")
    }
    guard let own = self.weights, own == weights else {
      let reason =
        self.weights == nil
        ? "does not say which weights were measured"
        : "was measured with other weights, or before they were calibrated"
      throw Unusable(path: path, problem: "\(reason): run rfm evaluate --checkpoint \(name) again")
    }
  }

  private struct Contents: Decodable {
    struct Figures: Decodable {
      let metrics: EvaluationMetrics
      let images: Int
      let videos: VideoMetrics?
      let bootstrap: SourceBootstrap?
      let degradations: [String]

      private enum Keys: String, CodingKey { case images, videos, bootstrap, degradations }

      init(from decoder: any Decoder) throws {
        metrics = try EvaluationMetrics(from: decoder)
        let container = try decoder.container(keyedBy: Keys.self)
        images = try container.decode(Int.self, forKey: .images)
        videos = try container.decodeIfPresent(VideoMetrics.self, forKey: .videos)
        bootstrap = try container.decodeIfPresent(SourceBootstrap.self, forKey: .bootstrap)
        degradations = try container.decodeIfPresent([String].self, forKey: .degradations) ?? []
      }
    }

    let order: [String]
    let sets: [String: Figures]
    let mean: DataSetsReport.MeansByKind?
    let weights: String?

    private enum CodingKeys: String, CodingKey {
      case order, mean
      case sets = "data_sets"
      case weights = "weights_sha256"
    }
  }
}
