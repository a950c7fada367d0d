import Foundation
import Foundations

/// How well scores tell fake images from real ones.
///
/// A higher score means fake. At threshold t an image is called fake if its score is at least t.
/// P fakes and N reals give, at every t, the true positive rate TPR = TP/P and the false positive
/// rate FPR = FP/N; equal scores change sides together, so the order of the images never matters.
/// All values agree with scikit-learn's to rounding. A value that the data don't define is nil, and
/// null in JSON:
///
/// | | real images only | fake images only | no images |
/// | --- | --- | --- | --- |
/// | `auc`, `eer`, `truePositiveRates` | nil | nil | nil |
/// | `averagePrecision` | nil | 1 | nil |
/// | `accuracy` | defined | defined | nil |
/// | `recall` | nil | defined | nil |
/// | `falseAlarmRate` | defined | nil | nil |
public struct DetectionMetrics: Equatable, Sendable {
  /// False positive rates at which the true positive rate is told.
  public static let falsePositiveRates = [1e-2, 1e-3, 1e-4]

  /// Number of real images, N.
  public var real: Int
  /// Number of fake images, P.
  public var fake: Int
  /// Area under the ROC curve (trapezoids): the probability that a fake image scores higher than a
  /// real one, a tie counting one half. `sklearn.metrics.roc_auc_score`.
  public var auc: Double?
  /// Average precision, Σ (R_n − R_{n−1}) · P_n over the distinct scores, highest first, with recall
  /// R and precision P, without interpolation. `sklearn.metrics.average_precision_score`.
  public var averagePrecision: Double?
  /// Fraction of images on the right side of `threshold`. `sklearn.metrics.accuracy_score`.
  public var accuracy: Double?
  /// Equal error rate: FPR where FPR = 1 − TPR on the ROC curve with its points (those of
  /// `sklearn.metrics.roc_curve`) joined by straight lines.
  public var eer: Double?
  /// TPR at the rates of `falsePositiveRates`: the highest TPR of any threshold whose FPR is at most
  /// the rate. No interpolation: each value is attained by a threshold on these very images. With
  /// fewer than 1/rate real images that is the TPR without any false positive. Points are those of
  /// `sklearn.metrics.roc_curve(drop_intermediate: False)`.
  public var truePositiveRates: [Double?]
  /// Fraction of the fake images called fake at `threshold`.
  public var recall: Double?
  /// Fraction of the real images called fake at `threshold`.
  public var falseAlarmRate: Double?
  /// The threshold that `accuracy`, `recall` and `falseAlarmRate` are told for.
  public var threshold: Double
  /// Where these values lie with 95 % confidence; nil unless ``SourceBootstrap`` was asked.
  public var intervals: DetectionIntervals?

  /// Metrics of scores with their labels.
  ///
  /// - Parameters:
  ///   - scores: one for each image, finite; probabilities of fake for the default threshold.
  ///   - labels: one for each image, 0 real or 1 fake.
  ///   - threshold: at least this is called fake.
  /// - Throws: `MetricsError` if a score is not finite.
  public init(scores: [Double], labels: [UInt8], threshold: Double = 0.5) throws {
    self.init(try RankedScores(scores: scores, labels: labels), threshold: threshold)
  }

  /// Metrics of ranked scores.
  public init(_ ranked: RankedScores, threshold: Double = 0.5) {
    let fake = ranked.fake.count
    let real = ranked.real.count
    let (positives, negatives) = (Double(fake), Double(real))
    self.fake = fake
    self.real = real
    self.threshold = threshold

    let truePositives = ranked.fake.prefix { $0 >= threshold }.count
    let falsePositives = ranked.real.prefix { $0 >= threshold }.count
    recall = fake == 0 ? nil : Double(truePositives) / positives
    falseAlarmRate = real == 0 ? nil : Double(falsePositives) / negatives
    accuracy =
      fake + real == 0
      ? nil : Double(truePositives + real - falsePositives) / (positives + negatives)

    var twiceArea = 0  // in pairs of images: exact
    var precision = 0.0
    var equalError: Double?
    var rates = [Int](repeating: 0, count: Self.falsePositiveRates.count)
    var last = (fake: 0, real: 0)
    ranked.forEachThreshold { _, fakeAbove, realAbove in
      twiceArea += (realAbove - last.real) * (fakeAbove + last.fake)
      precision +=
        Double(fakeAbove - last.fake) / positives * Double(fakeAbove)
        / Double(fakeAbove + realAbove)
      if fake > 0 && real > 0 {
        let before = Double(last.real) / negatives + Double(last.fake) / positives - 1
        let after = Double(realAbove) / negatives + Double(fakeAbove) / positives - 1
        if equalError == nil && after >= 0 {
          // FPR + TPR − 1 grows along the curve and is 0 where the errors are equal.
          let part = before / (before - after)
          equalError = (Double(last.real) + part * Double(realAbove - last.real)) / negatives
        }
        for (index, rate) in Self.falsePositiveRates.enumerated()
        where Double(realAbove) / negatives <= rate {
          rates[index] = fakeAbove
        }
      }
      last = (fakeAbove, realAbove)
    }
    let bothClasses = fake > 0 && real > 0
    auc = bothClasses ? Double(twiceArea) / 2 / (positives * negatives) : nil
    averagePrecision = fake > 0 ? precision : nil
    eer = equalError
    truePositiveRates = rates.map { bothClasses ? Double($0) / positives : nil }
  }
}

/// Scores that no metric is defined for.
public enum MetricsError: ReportableError, Equatable {
  /// The score of this image (its position in the data) is NaN or infinite.
  case notFinite(image: Int)

  public var description: String {
    switch self {
    case .notFinite(let image):
      "the score of image \(image) is not a finite number: "
        + "the training that made the weights has diverged, or the weights are damaged"
    }
  }

  public var exitStatus: ExitStatus { .badData }
}

/// The scores of the fake and of the real images, each sorted, highest first.
///
/// Sorting the classes apart and merging them keeps ten million scores at eight bytes each, and
/// lets the real images be sorted once for the comparison with every method.
public struct RankedScores: Sendable {
  public let fake: [Double]
  public let real: [Double]

  /// - Throws: `MetricsError` if a score is not finite.
  public init(scores: [Double], labels: [UInt8]) throws {
    precondition(
      scores.count == labels.count,
      "RankedScores: expected as many labels as scores, got \(labels.count) and \(scores.count)")
    if let image = scores.firstIndex(where: { !$0.isFinite }) {
      throw MetricsError.notFinite(image: image)
    }
    precondition(
      labels.allSatisfy { $0 <= 1 }, "RankedScores: expected labels 0 (real) and 1 (fake)")
    var fake: [Double] = []
    var real: [Double] = []
    for (score, label) in zip(scores, labels) {
      if label == 1 { fake.append(score) } else { real.append(score) }
    }
    fake.sort(by: >)
    real.sort(by: >)
    self.init(fake: fake, real: real)
  }

  /// Takes scores that are finite and sorted, highest first.
  init(fake: [Double], real: [Double]) {
    self.fake = fake
    self.real = real
  }

  /// Calls the body for each distinct score, highest first, with the score and how many fake and
  /// real images score at least as high.
  func forEachThreshold(_ body: (_ threshold: Double, _ fakeAbove: Int, _ realAbove: Int) -> Void) {
    var (fakeAbove, realAbove) = (0, 0)
    while fakeAbove < fake.count || realAbove < real.count {
      let threshold = max(
        fakeAbove < fake.count ? fake[fakeAbove] : -.infinity,
        realAbove < real.count ? real[realAbove] : -.infinity)
      while fakeAbove < fake.count && fake[fakeAbove] == threshold { fakeAbove += 1 }
      while realAbove < real.count && real[realAbove] == threshold { realAbove += 1 }
      body(threshold, fakeAbove, realAbove)
    }
  }
}

extension DetectionMetrics: Codable {
  enum CodingKeys: String, CodingKey {
    case real, fake, auc, accuracy, eer, recall, threshold, intervals
    case averagePrecision = "ap"
    case truePositiveRates = "tpr_at_fpr"
    case falseAlarmRate = "false_alarm_rate"
  }

  /// "1e-2" and so on: the names of `falsePositiveRates` in JSON.
  public static let falsePositiveRateNames = ["1e-2", "1e-3", "1e-4"]

  /// Writes all values; those that are undefined as null, so that a reader need not guess whether
  /// one was forgotten.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(real, forKey: .real)
    try container.encode(fake, forKey: .fake)
    try container.encode(auc, forKey: .auc)
    try container.encode(averagePrecision, forKey: .averagePrecision)
    try container.encode(accuracy, forKey: .accuracy)
    try container.encode(eer, forKey: .eer)
    let rates = Dictionary(
      uniqueKeysWithValues: zip(Self.falsePositiveRateNames, truePositiveRates))
    try container.encode(rates, forKey: .truePositiveRates)
    try container.encode(recall, forKey: .recall)
    try container.encode(falseAlarmRate, forKey: .falseAlarmRate)
    try container.encode(threshold, forKey: .threshold)
    try container.encodeIfPresent(intervals, forKey: .intervals)
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    real = try container.decode(Int.self, forKey: .real)
    fake = try container.decode(Int.self, forKey: .fake)
    auc = try container.decodeIfPresent(Double.self, forKey: .auc)
    averagePrecision = try container.decodeIfPresent(Double.self, forKey: .averagePrecision)
    accuracy = try container.decodeIfPresent(Double.self, forKey: .accuracy)
    eer = try container.decodeIfPresent(Double.self, forKey: .eer)
    let rates = try container.decode([String: Double?].self, forKey: .truePositiveRates)
    truePositiveRates = Self.falsePositiveRateNames.map { rates[$0] ?? nil }
    recall = try container.decodeIfPresent(Double.self, forKey: .recall)
    falseAlarmRate = try container.decodeIfPresent(Double.self, forKey: .falseAlarmRate)
    threshold = try container.decode(Double.self, forKey: .threshold)
    intervals = try container.decodeIfPresent(DetectionIntervals.self, forKey: .intervals)
  }
}
