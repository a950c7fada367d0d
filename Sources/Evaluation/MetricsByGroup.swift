import Tensors

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
    try self.init(
      ScoredSamples(
        scores: scores, labels: labels, methods: methods, methodNames: methodNames,
        sources: sources), threshold: threshold)
  }

  /// Metrics of images.
  ///
  /// - Parameter bootstrap: gives all figures intervals too.
  /// - Throws: `MetricsError` if a score is not finite.
  public init(
    _ images: ScoredSamples, threshold: Double = 0.5, bootstrap: Bootstrap? = nil
  ) throws {
    let whole = try SourceMetrics(images, threshold: threshold, bootstrap: bootstrap)
    (overall, methods) = (whole.overall, whole.methods)
    guard images.withoutSource < images.scores.count else { return }
    sources = try SourceMetrics(images.bySource, threshold: threshold, bootstrap: bootstrap)
  }

  /// How sources are drawn, and who draws them.
  public struct Bootstrap {
    public let settings: SourceBootstrap
    public let workers: WorkerPool
    /// Another number for every data set.
    public var stream: UInt64 = 0

    public init(_ settings: SourceBootstrap, workers: WorkerPool) {
      self.settings = settings
      self.workers = workers
    }

    /// For one of several data sets, which are drawn independently of one another.
    func of(set: Int) -> Bootstrap {
      var own = self
      own.stream = UInt64(set)
      return own
    }

    package func draw(_ samples: ScoredSamples, threshold: Double = 0.5) -> FigureDraws {
      settings.draw(samples, threshold: threshold, stream: stream, workers: workers)
    }
  }
}

extension EvaluationMetrics.SourceMetrics {
  /// - Throws: `MetricsError` if a score is not finite.
  init(
    _ samples: ScoredSamples, threshold: Double = 0.5,
    bootstrap: EvaluationMetrics.Bootstrap? = nil
  ) throws {
    let ranked = try RankedScores(scores: samples.scores, labels: samples.labels)
    overall = DetectionMetrics(ranked, threshold: threshold)
    overall.intervals = bootstrap?.draw(samples, threshold: threshold).intervals
    methods = [:]
    for method in samples.presentMethods {
      precondition(
        samples.methodNames.indices.contains(method),
        "expected methods below \(samples.methodNames.count), got \(method)")
      let own = samples.against(method)
      let scores = own.scores.indices.filter { own.labels[$0] == 1 }.map { own.scores[$0] }
      var metrics = DetectionMetrics(
        RankedScores(fake: scores.sorted(by: >), real: ranked.real), threshold: threshold)
      metrics.intervals = bootstrap?.draw(own, threshold: threshold).intervals
      methods[samples.methodNames[method]] = metrics
    }
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
