import FaceShards
import Foundations
import Networks

/// The logits of a set's images with what is known of the images: what `evaluate` reports.
public struct ScoredSet {
  /// Real and fake logit of each image.
  public let logits: [Float]
  /// Probability of fake of each image, calibrated if a temperature was given.
  public let scores: [Double]
  public let labels: [UInt8]
  public let methods: [UInt8]
  public let methodNames: [String]
  /// Images and scores, for figures of other groups of them.
  public let samples: ScoredSamples
  public let metrics: EvaluationMetrics
  /// Mean cross-entropy of the logits as they are.
  public let loss: Double

  /// - Parameters:
  ///   - samples: numbers of the images in the set that were scored; nil: all, in their order.
  ///   - sources: source of each of them; nil: not known.
  ///   - temperature: of the detector's calibration; nil: it has none.
  ///   - bootstrap: gives figures intervals.
  /// - Throws: `MetricsError` if a logit is not a number.
  public init(
    logits: [Float], set: ShardSet, samples: [Int]? = nil, sources: [String]?,
    temperature: Double? = nil, bootstrap: EvaluationMetrics.Bootstrap? = nil
  ) throws {
    let count = samples?.count ?? set.count
    precondition(
      logits.count == 2 * count, "two logits for each of \(count) images were expected")
    self.logits = logits
    labels = samples.map { $0.map { set.labels[$0] } } ?? Array(set.labels)
    methods = samples.map { $0.map { set.methods[$0] } } ?? Array(set.methods)
    methodNames = set.methodNames
    scores = (0..<count).map {
      CrossEntropy.probabilityOfFake(
        real: logits[2 * $0], fake: logits[2 * $0 + 1], temperature: temperature ?? 1)
    }
    self.samples = ScoredSamples(
      scores: scores, labels: labels, methods: methods.map { Int($0) }, methodNames: methodNames,
      sources: sources)
    metrics = try EvaluationMetrics(self.samples, bootstrap: bootstrap)
    var sum = 0.0
    for i in 0..<count {
      sum += CrossEntropy.loss(
        real: Double(logits[2 * i]), fake: Double(logits[2 * i + 1]), label: labels[i])
    }
    loss = sum / Double(max(1, count))
  }

  /// The overall figures, for a line of `metrics.jsonl`.
  public var summary: [JSON.Member] {
    let overall = metrics.overall
    let rates = zip(DetectionMetrics.falsePositiveRateNames, overall.truePositiveRates)
    var members: [JSON.Member] = [
      .init("loss", .number(loss)), .init("auc", .optional(overall.auc)),
      .init("ap", .optional(overall.averagePrecision)),
      .init("accuracy", .optional(overall.accuracy)), .init("eer", .optional(overall.eer)),
    ]
    for (name, rate) in rates { members.append(.init("tpr_at_fpr_\(name)", .optional(rate))) }
    return members
  }
}
