/// Everything that `metrics.json` tells about the scores of a set of images.
///
/// In JSON the overall metrics stand at the top (`auc`, `ap`, `accuracy`, `eer`, `tpr_at_fpr`, …),
/// those of each method under `methods`, and the same again for whole sources under `sources`.
public struct EvaluationMetrics: Equatable, Sendable {
  /// All images.
  public var overall: DetectionMetrics
  /// For each manipulation method that has images: its fake images against all real ones.
  public var methods: [String: DetectionMetrics]
  /// The same where each source (video or identity) is one sample, whose score is the mean of its
  /// images' scores; nil if no image names its source.
  public var sources: SourceMetrics?

  /// Metrics of whole sources.
  public struct SourceMetrics: Equatable, Sendable {
    public var overall: DetectionMetrics
    public var methods: [String: DetectionMetrics]
  }

  /// Metrics of a set of images.
  ///
  /// One source can have real images and fakes made from it by several methods. They are judged
  /// apart: a sample of `sources` is what has the same source, label and method. An image without a
  /// source (an empty name) is a sample of its own.
  ///
  /// - Parameters:
  ///   - scores: probability of fake of each image, finite.
  ///   - labels: 0 real, 1 fake.
  ///   - methods: index of each image's method in `methodNames`; not looked at for real images.
  ///   - methodNames: names of the methods, "real" first.
  ///   - sources: source of each image; nil if none is known.
  ///   - threshold: at least this is called fake.
  /// - Throws: `MetricsError` if a score is not finite.
  public init(
    scores: [Double], labels: [UInt8], methods: [Int], methodNames: [String],
    sources: [String]? = nil, threshold: Double = 0.5
  ) throws {
    (overall, self.methods) = try Self.byMethod(
      scores: scores, labels: labels, methods: methods, methodNames: methodNames,
      threshold: threshold)
    guard let sources, sources.contains(where: { !$0.isEmpty }) else { return }
    precondition(
      sources.count == scores.count,
      "EvaluationMetrics: expected \(scores.count) sources, got \(sources.count)")

    struct Sample: Hashable {
      var source: String
      var method: Int
    }
    var numbers: [Sample: Int] = [:]
    var sums: [(score: Double, images: Int, label: UInt8, method: Int)] = []
    for image in scores.indices {
      let method = labels[image] == 0 ? -1 : methods[image]
      var number = sums.count
      if !sources[image].isEmpty {
        let sample = Sample(source: sources[image], method: method)
        number = numbers[sample] ?? sums.count
        numbers[sample] = number
      }
      if number == sums.count { sums.append((0, 0, labels[image], method)) }
      sums[number].score += scores[image]
      sums[number].images += 1
    }
    let (whole, parts) = try Self.byMethod(
      scores: sums.map { $0.score / Double($0.images) }, labels: sums.map(\.label),
      methods: sums.map(\.method), methodNames: methodNames, threshold: threshold)
    self.sources = SourceMetrics(overall: whole, methods: parts)
  }

  private static func byMethod(
    scores: [Double], labels: [UInt8], methods: [Int], methodNames: [String], threshold: Double
  ) throws -> (DetectionMetrics, [String: DetectionMetrics]) {
    precondition(
      methods.count == scores.count,
      "EvaluationMetrics: expected \(scores.count) methods, got \(methods.count)")
    let ranked = try RankedScores(scores: scores, labels: labels)
    var fakes: [Int: [Double]] = [:]
    for image in scores.indices where labels[image] == 1 {
      fakes[methods[image], default: []].append(scores[image])
    }
    var result: [String: DetectionMetrics] = [:]
    for (method, scores) in fakes {
      precondition(
        methodNames.indices.contains(method),
        "EvaluationMetrics: expected methods below \(methodNames.count), got \(method)")
      result[methodNames[method]] = DetectionMetrics(
        RankedScores(fake: scores.sorted(by: >), real: ranked.real), threshold: threshold)
    }
    return (DetectionMetrics(ranked, threshold: threshold), result)
  }
}

extension EvaluationMetrics: Codable {
  private enum CodingKeys: String, CodingKey { case methods, sources }

  public func encode(to encoder: any Encoder) throws {
    try overall.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(methods, forKey: .methods)
    try container.encode(sources, forKey: .sources)
  }

  public init(from decoder: any Decoder) throws {
    overall = try DetectionMetrics(from: decoder)
    let container = try decoder.container(keyedBy: CodingKeys.self)
    methods = try container.decode([String: DetectionMetrics].self, forKey: .methods)
    sources = try container.decodeIfPresent(SourceMetrics.self, forKey: .sources)
  }
}

extension EvaluationMetrics.SourceMetrics: Codable {
  private enum CodingKeys: String, CodingKey { case methods }

  public func encode(to encoder: any Encoder) throws {
    try overall.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(methods, forKey: .methods)
  }

  public init(from decoder: any Decoder) throws {
    overall = try DetectionMetrics(from: decoder)
    let container = try decoder.container(keyedBy: CodingKeys.self)
    methods = try container.decode([String: DetectionMetrics].self, forKey: .methods)
  }
}
