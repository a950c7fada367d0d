import Checkpoints
import Foundations
import Networks

/// The temperature that makes logits' probabilities likeliest (Guo et al., ICML 2017, section 4.2).
///
/// In the slope 1 / temperature the loss is convex, so halving an interval finds its one minimum.
public struct TemperatureFit: Equatable, Sendable {
  public let temperature: Double
  /// Mean cross-entropy without temperature, and with it.
  public let lossBefore: Double
  public let lossAfter: Double

  /// Images that no temperature can be fitted to.
  public enum Impossible: ReportableError, Equatable {
    case oneClass(isFake: Bool)
    case separated
    case worseThanChance

    public var description: String {
      switch self {
      case .oneClass(let isFake):
        "all images are \(isFake ? "fake" : "real"): a calibration needs both"
      case .separated:
        "the detector makes no mistake on these images, so any confidence would fit: calibrate on more, or "
          + "harder, images"
      case .worseThanChance:
        "the detector is no better than chance on these images, so no probability can be made of it"
      }
    }
    public var exitStatus: ExitStatus { .badData }
  }

  /// - Parameters:
  ///   - logits: real and fake, of each image.
  ///   - labels: 0 real, 1 fake.
  /// - Throws: ``Impossible``.
  public init(logits: [Float], labels: [UInt8]) throws(Impossible) {
    precondition(logits.count == 2 * labels.count, "two logits an image were expected")
    guard let first = labels.first, labels.contains(where: { $0 != first }) else {
      throw .oneClass(isFake: labels.first == 1)
    }
    /// How far the logits speak for the label.
    let margins = labels.indices.map {
      (Double(logits[2 * $0 + 1]) - Double(logits[2 * $0])) * (labels[$0] == 1 ? 1 : -1)
    }
    func loss(_ slope: Double) -> Double {
      margins.reduce(0) { $0 + CrossEntropy.loss(real: 0, fake: slope * $1, label: 1) }
        / Double(margins.count)
    }
    /// Of the loss by the slope; rises.
    func derivative(_ slope: Double) -> Double {
      margins.reduce(0) { sum, margin in
        sum - margin * CrossEntropy.probabilityOfFake(real: slope * margin, fake: 0)
      }
    }
    guard margins.contains(where: { $0 < 0 }) else { throw .separated }
    guard derivative(0) < 0 else { throw .worseThanChance }
    var (low, high) = (0.0, 1.0)
    while derivative(high) < 0 { (low, high) = (high, 2 * high) }
    for _ in 0..<100 {
      let middle = (low + high) / 2
      if derivative(middle) < 0 { low = middle } else { high = middle }
    }
    let slope = (low + high) / 2
    temperature = 1 / slope
    (lossBefore, lossAfter) = (loss(1), loss(slope))
  }
}

extension Calibration {
  /// Fits a temperature, and notes which errors are made at which threshold.
  ///
  /// - Parameters:
  ///   - logits: real and fake, of each validation image.
  ///   - labels: 0 real, 1 fake.
  ///   - data: patterns of the images' shards.
  /// - Throws: ``TemperatureFit/Impossible``, `MetricsError` if a logit is not a number.
  public init(fitting logits: [Float], labels: [UInt8], data: [String]) throws {
    let ranked = try RankedScores(
      scores: labels.indices.map { Double(logits[2 * $0 + 1]) - Double(logits[2 * $0]) },
      labels: labels)
    let fit = try TemperatureFit(logits: logits, labels: labels)
    self.init(
      temperature: fit.temperature, real: ranked.real.count, fake: ranked.fake.count,
      lossBefore: fit.lossBefore, lossAfter: fit.lossAfter, data: data,
      points: ROCCurve(ranked).thinned(resolution: 200).points.compactMap { point in
        point.threshold.map {
          OperatingPoint(
            threshold: $0, falseAlarmRate: point.falsePositiveRate,
            missRate: 1 - point.truePositiveRate)
        }
      })
  }
}
