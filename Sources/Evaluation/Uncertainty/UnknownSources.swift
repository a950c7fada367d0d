import FaceShards
import Foundations
import Networks

/// Images of which nothing says whether they are independent of one another.
public struct UnknownSources: ReportableError, Equatable {
  let data: String
  let images: Int
  let all: Int

  public var description: String {
    "\(printable(data, limit: 400)): \(images) of \(all) images name no source, and frames of one video "
      + "taken for independent images would give intervals that are too narrow: pack them with their "
      + "sources, or say that each such image has a source of its own (--independent-images)"
  }
  public var exitStatus: ExitStatus { .badData }

  static func check(_ sources: [String], data: String) throws(UnknownSources) {
    let unnamed = sources.count(where: \.isEmpty)
    if unnamed > 0 { throw UnknownSources(data: data, images: unnamed, all: sources.count) }
  }
}

extension SourceBootstrap {
  /// Why there are no intervals, or not all; a line each.
  static func notes(_ samples: ScoredSamples, of data: String) -> [String] {
    let (real, fake) = WeightedFigures(samples, threshold: 0.5).sourceCounts
    if min(real, fake) < leastSources {
      return [
        "\(data): no intervals: they need \(leastSources) sources of each class at the least, there are "
          + "\(real) with real and \(fake) with fake images"
      ]
    }
    var notes: [String] = []
    if min(real, fake) < leastSourcesOfPrecision {
      notes.append(
        "\(data): AP has no interval: it needs \(leastSourcesOfPrecision) sources of each class, there are "
          + "\(real) with real and \(fake) with fake images")
    }
    let missing = zip(DetectionMetrics.falsePositiveRateNames, DetectionMetrics.falsePositiveRates)
      .filter { Double(real) * $1 < leastSourcesAtRate }.map(\.0)
    guard let first = missing.first, let rate = Double(first) else { return notes }
    return notes + [
      "\(data): TPR at FPR \(missing.joined(separator: ", ")) has no interval: it rests on the highest "
        + "scores of too few of the \(real) real sources; \(first) needs "
        + "\(Int((leastSourcesAtRate / rate).rounded(.up)))"
    ]
  }
}

extension SourceBootstrap: Codable {
  private enum CodingKeys: String, CodingKey { case draws, seed, method, confidence }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(draws, forKey: .draws)
    try container.encode(seed, forKey: .seed)
    try container.encode("BCa over sources", forKey: .method)
    try container.encode(0.95, forKey: .confidence)
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      draws: max(2, try container.decode(Int.self, forKey: .draws)),
      seed: try container.decode(UInt64.self, forKey: .seed))
  }
}

/// Two detectors that can't be compared.
public struct OtherImages: ReportableError {
  let path: String
  let problem: String
  public var description: String {
    "\(printable(path, limit: 400)): \(problem): only detectors that scored the same images in the same "
      + "order can be compared"
  }
  public var exitStatus: ExitStatus { .badData }
}

extension AUCComparison {
  /// Of what was scored just now with a table of another detector.
  ///
  /// - Throws: ``OtherImages``, what reading shards throws.
  init(
    _ scored: ScoredSet, of set: ShardSet, sources: [String], with other: ScoresTable, path: String
  ) throws {
    if let row = try other.firstDifference(from: scored, of: set, sources: sources) {
      throw OtherImages(
        path: path,
        problem: row < min(set.count, other.rows.count)
          ? "the image with index \(row) is another one there"
          : "it has \(other.rows.count) images, here are \(set.count)")
    }
    // As the table has them: without a temperature.
    let scores = (0..<set.count).map {
      CrossEntropy.probabilityOfFake(real: scored.logits[2 * $0], fake: scored.logits[2 * $0 + 1])
    }
    guard
      let comparison = AUCComparison(
        first: scores, second: other.scores, labels: scored.labels,
        sources: scored.samples.sources)
    else {
      throw OtherImages(
        path: path,
        problem:
          "fewer than two sources have real images, or fake ones, so nothing can be said of chance")
    }
    self = comparison
  }
}

extension AUCComparison: Encodable {
  private enum Keys: String, CodingKey {
    case auc, difference, sources, interval, z
    case otherAUC = "other_auc"
    case standardError = "standard_error"
    case pValue = "p_value"
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Keys.self)
    try container.encode(first, forKey: .auc)
    try container.encode(second, forKey: .otherAUC)
    try container.encode(difference, forKey: .difference)
    try container.encode(standardError, forKey: .standardError)
    try container.encode(interval, forKey: .interval)
    try container.encode(z, forKey: .z)
    try container.encode(pValue, forKey: .pValue)
    try container.encode(sources, forKey: .sources)
  }
}
