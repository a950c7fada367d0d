import Foundations

/// What `data-sets.json` holds: each data set's figures, and their means over the data sets.
public struct DataSetsReport: Encodable {
  /// The figures of a mean; one is nil where a data set does not have it.
  public struct Means: Codable, Sendable {
    public let figures: [DetectionFigure: Double]
    public let intervals: DetectionIntervals?

    /// - Parameter drawn: of each data set; nil without intervals.
    init(_ metrics: [DetectionMetrics], drawn: [FigureDraws]?) {
      var figures: [DetectionFigure: Double] = [:]
      for figure in DetectionFigure.allCases {
        let values = metrics.compactMap { $0[figure] }
        guard values.count == metrics.count else { continue }
        figures[figure] = values.reduce(0, +) / Double(values.count)
      }
      self.figures = figures
      intervals = drawn.map { FigureDraws.mean($0).intervals }
    }

    private enum Keys: String, CodingKey { case intervals }

    public init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: DetectionFigure.self)
      var figures: [DetectionFigure: Double] = [:]
      for figure in DetectionFigure.allCases {
        figures[figure] = try container.decodeIfPresent(Double.self, forKey: figure)
      }
      self.figures = figures
      intervals = try decoder.container(keyedBy: Keys.self)
        .decodeIfPresent(DetectionIntervals.self, forKey: .intervals)
    }

    public func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: DetectionFigure.self)
      for figure in DetectionFigure.allCases {
        try container.encode(figures[figure], forKey: figure)
      }
      var rest = encoder.container(keyedBy: Keys.self)
      try rest.encodeIfPresent(intervals, forKey: .intervals)
    }
  }

  /// Means over the data sets, of each kind of sample.
  public struct MeansByKind: Codable, Sendable {
    public let images: Means
    /// Nil where a data set has no videos.
    public let videosByMean: Means?
    public let videosByMedian: Means?

    private enum CodingKeys: String, CodingKey {
      case images
      case videosByMean = "videos_by_mean"
      case videosByMedian = "videos_by_median"
    }
  }

  public struct Set {
    public let name: String
    public let report: EvaluationJob.Report
  }

  /// In the order of the command line.
  public let sets: [Set]
  /// Nil for one data set.
  public let means: MeansByKind?

  /// - Parameter bootstrap: that of the data sets' own intervals: data set `i` is drawn by stream `i`.
  init(_ sets: [Set], bootstrap: EvaluationMetrics.Bootstrap?) {
    self.sets = sets
    guard sets.count > 1 else {
      means = nil
      return
    }
    func mean(
      _ metrics: (EvaluationJob.Report) -> DetectionMetrics?,
      _ samples: (EvaluationJob.Report) -> ScoredSamples?
    ) -> Means? {
      let all = sets.compactMap { metrics($0.report) }
      guard all.count == sets.count else { return nil }
      let drawn = bootstrap.map { bootstrap in
        sets.enumerated().compactMap { place, set in
          samples(set.report).map { bootstrap.of(set: place).draw($0, threshold: 0.5) }
        }
      }
      return Means(all, drawn: drawn)
    }
    self.means = MeansByKind(
      images: mean({ $0.metrics.overall }, { $0.samples })!,
      videosByMean: mean({ $0.videos?.mean.overall }, { $0.videoSamples(median: false) }),
      videosByMedian: mean({ $0.videos?.median.overall }, { $0.videoSamples(median: true) }))
  }

  private enum Keys: String, CodingKey {
    case sets = "data_sets"
    case means = "mean"
    case weights = "weights_sha256"
    case order
  }

  private struct Name: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Keys.self)
    try container.encode(sets.map(\.name), forKey: .order)
    var each = container.nestedContainer(keyedBy: Name.self, forKey: .sets)
    for set in sets { try each.encode(set.report, forKey: Name(stringValue: set.name)) }
    try container.encode(means, forKey: .means)
    try container.encodeIfPresent(sets.first?.report.weights, forKey: .weights)
  }
}

extension DetectionFigure: CodingKey {}
