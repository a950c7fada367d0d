/// What holds a figure's true value with a confidence of 95 %; [low, high] in JSON.
public struct Interval: Equatable, Sendable, Codable {
  public var low: Double
  public var high: Double

  public init(_ low: Double, _ high: Double) {
    self.low = low
    self.high = high
  }

  public init(from decoder: any Decoder) throws {
    var container = try decoder.unkeyedContainer()
    low = try container.decode(Double.self)
    high = try container.decode(Double.self)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.unkeyedContainer()
    try container.encode(low)
    try container.encode(high)
  }
}

/// Intervals of the figures of ``DetectionMetrics``; nil, and null in JSON, where the data don't allow
/// one: see ``SourceBootstrap``.
public struct DetectionIntervals: Equatable, Sendable {
  public var auc: Interval?
  public var averagePrecision: Interval?
  public var accuracy: Interval?
  public var eer: Interval?
  /// At the rates of ``DetectionMetrics/falsePositiveRates``.
  public var truePositiveRates: [Interval?]

  public init(
    auc: Interval?, averagePrecision: Interval?, accuracy: Interval?, eer: Interval?,
    truePositiveRates: [Interval?]
  ) {
    self.auc = auc
    self.averagePrecision = averagePrecision
    self.accuracy = accuracy
    self.eer = eer
    self.truePositiveRates = truePositiveRates
  }

  /// - Parameter byFigure: in the order of ``DetectionFigure/allCases``.
  init(byFigure: [Interval?]) {
    self.init(
      auc: byFigure[0], averagePrecision: byFigure[1], accuracy: byFigure[2], eer: byFigure[3],
      truePositiveRates: Array(byFigure[4...]))
  }

  public subscript(figure: DetectionFigure) -> Interval? {
    switch figure {
    case .auc: auc
    case .averagePrecision: averagePrecision
    case .accuracy: accuracy
    case .eer: eer
    case .tprAt1e2: truePositiveRates[0]
    case .tprAt1e3: truePositiveRates[1]
    case .tprAt1e4: truePositiveRates[2]
    }
  }
}

extension DetectionIntervals: Codable {
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: DetectionMetrics.CodingKeys.self)
    try container.encode(auc, forKey: .auc)
    try container.encode(averagePrecision, forKey: .averagePrecision)
    try container.encode(accuracy, forKey: .accuracy)
    try container.encode(eer, forKey: .eer)
    try container.encode(
      Dictionary(
        uniqueKeysWithValues: zip(DetectionMetrics.falsePositiveRateNames, truePositiveRates)),
      forKey: .truePositiveRates)
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: DetectionMetrics.CodingKeys.self)
    auc = try container.decodeIfPresent(Interval.self, forKey: .auc)
    averagePrecision = try container.decodeIfPresent(Interval.self, forKey: .averagePrecision)
    accuracy = try container.decodeIfPresent(Interval.self, forKey: .accuracy)
    eer = try container.decodeIfPresent(Interval.self, forKey: .eer)
    let rates = try container.decode([String: Interval?].self, forKey: .truePositiveRates)
    truePositiveRates = DetectionMetrics.falsePositiveRateNames.map { rates[$0] ?? nil }
  }
}

/// A figure of ``DetectionMetrics`` that can have an interval.
public enum DetectionFigure: String, Sendable, CaseIterable {
  case auc
  case averagePrecision = "ap"
  case accuracy, eer
  case tprAt1e2 = "tpr_at_fpr_1e-2"
  case tprAt1e3 = "tpr_at_fpr_1e-3"
  case tprAt1e4 = "tpr_at_fpr_1e-4"

  /// As tables have it.
  public var title: String {
    switch self {
    case .auc, .averagePrecision, .eer: rawValue.uppercased()
    case .accuracy: rawValue
    default: rawValue.replacing("tpr_at_fpr_", with: "TPR at FPR ")
    }
  }
}

extension DetectionMetrics {
  public subscript(figure: DetectionFigure) -> Double? {
    switch figure {
    case .auc: auc
    case .averagePrecision: averagePrecision
    case .accuracy: accuracy
    case .eer: eer
    case .tprAt1e2: truePositiveRates[0]
    case .tprAt1e3: truePositiveRates[1]
    case .tprAt1e4: truePositiveRates[2]
    }
  }
}
