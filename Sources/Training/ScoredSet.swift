import FaceShards
import Networks

/// The logits of a set's images with what is known of the images: what `evaluate` reports.
public struct ScoredSet {
  /// Real and fake logit of each image.
  public let logits: [Float]
  /// Probability of fake of each image.
  public let scores: [Double]
  public let labels: [UInt8]
  public let methods: [UInt8]
  public let methodNames: [String]
  public let metrics: EvaluationMetrics
  /// Mean cross-entropy.
  public let loss: Double

  /// - Throws: `MetricsError` if a logit is not a number.
  public init(logits: [Float], set: ShardSet, sources: [String]?) throws {
    precondition(
      logits.count == 2 * set.count, "two logits for each of \(set.count) images were expected")
    self.logits = logits
    labels = set.labels
    methods = set.methods
    methodNames = set.methodNames
    scores = (0..<set.count).map {
      probabilityOfFake(logitReal: logits[2 * $0], logitFake: logits[2 * $0 + 1])
    }
    metrics = try EvaluationMetrics(
      scores: scores, labels: labels, methods: methods.map { Int($0) }, methodNames: methodNames,
      sources: sources)
    var sum = 0.0
    for i in 0..<set.count {
      sum += CrossEntropy.loss(
        real: Double(logits[2 * i]), fake: Double(logits[2 * i + 1]), label: labels[i])
    }
    loss = sum / Double(max(1, set.count))
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
